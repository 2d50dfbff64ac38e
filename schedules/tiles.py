"""Register-tiled products over tiles of positions: convolutions and linear layers, sparse or dense.

Before::

    for b, t, g, c: pack
    for b, t, o, i, k: A[b, t, o, i] += W[o, k] * packed[b, t, offset[k] + i]
    for b, o, y, x: Y[b, o, y, x] = epilogue(A[b, tile, o, lane])

After::

    for bt in parallel:
        pack
        for chunk of rows:
            for vectors of positions:
                for register tile of rows:
                    for k: rows × vectors multiply-adds in registers
            epilogue, row by row, vectors along the image's width
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.schedules import loops
from tvm_sparse.tile import Tile


def rule(func: tirx.PrimFunc, target: Target, tunable: bool) -> s_tir.Schedule | None:
    """Schedule a function whose tile is parallel over tiles or filters; None for any other."""
    sch = s_tir.Schedule(func)
    found = loops.take_annotation(sch, loops.TILE)
    if found is None or found["parallel"] == "channels":
        return None
    tile = Tile(**found)
    last = loops.inline_all(sch)
    product, pack = sch.get_sblock("product"), sch.get_sblock("pack")
    position, k = _cut_product(sch, product, tile)
    chunk = _cut_store(sch, last, tile)
    sch.merge(sch.get_loops(product)[1], chunk)
    both, chunk = sch.get_loops(product)[:2]
    sch.compute_at(pack, both)
    sch.parallel(both if tile.parallel == "tiles" else chunk)
    loops.fill_registers(sch, product, k)
    sch.annotate(position, loops.LAST, tile.last)
    loops.stream_weights(sch, k)
    return sch


def _cut_product(sch: s_tir.Schedule, product: Any, tile: Tile) -> tuple[Any, Any]:
    """Loops become (b t), chunk, vectors of positions, rows of a chunk, k, register tile."""
    b, t, o, i, k = sch.get_loops(product)
    both = sch.fuse(b, t)
    cuts = [None, tile.chunk // tile.filters] if tile.chunk else [1, None]
    chunk, row, register_row = sch.split(o, [*cuts, tile.filters])
    position, vector, lane = sch.split(i, [None, tile.vectors, tile.lanes])
    sch.reorder(both, chunk, position, row, k, register_row, vector, lane)
    sums = sch.cache_write(product, 0, "local")
    sch.reverse_compute_at(sums, row)
    loops.vectorize_tile(sch, sums, tile.lanes)
    return position, k


def _cut_store(sch: s_tir.Schedule, store: Any, tile: Tile) -> Any:
    """Loops become (b t), chunk of rows, row, positions of the tile; return the chunk loop."""
    if tile.op == "linear":
        batch, (o, position) = [], sch.get_loops(store)
    else:
        *batch, o, y, x = sch.get_loops(store)
        position = None if tile.rows else sch.fuse(y, x)
    if position is None:
        t, y = sch.split(y, [None, tile.rows])
        inner = [y, x]
    else:
        t, position = sch.split(position, [None, tile.run])
        inner = [position]
    chunk, row = sch.split(o, [None, tile.chunk] if tile.chunk else [1, None])
    sch.reorder(t, chunk, row, *inner)
    if batch:
        sch.fuse(*batch, t)
    loops.vectorize(sch, inner[-1], tile.lanes)
    return chunk
