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

TILE = "tvm_sparse.tile"


def rule(func: tirx.PrimFunc, target: Target, tunable: bool) -> s_tir.Schedule | None:
    """Schedule a function whose ``product`` block carries a tile; None for any other."""
    sch = s_tir.Schedule(func)
    tile = find_tile(sch)
    if tile is None or tile.parallel == "channels":
        return None
    last = loops.inline_all(sch)
    product, pack = sch.get_sblock("product"), sch.get_sblock("pack")
    _cut_product(sch, product, tile)
    chunk = _cut_store(sch, last, tile)
    sch.merge(sch.get_loops(product)[1], chunk)
    both = sch.get_loops(product)[0]
    sch.compute_at(pack, both)
    sch.parallel(both if tile.parallel == "tiles" else sch.get_loops(product)[1])
    _fill_registers(sch, product, tile)
    return sch


def find_tile(sch: s_tir.Schedule) -> Tile | None:
    """Return the tile that an algorithm's ``product`` block is annotated with."""
    for block in sch.get_child_blocks(sch.get_sblock("root")):
        stmt = sch.get(block)
        if TILE in stmt.annotations:
            values = {str(k): v for k, v in stmt.annotations[TILE].items()}
            sch.unannotate(block, TILE)
            return Tile(**{k: str(v) if k in ("parallel", "op") else int(v) for k, v in values.items()})
    return None


def _cut_product(sch: s_tir.Schedule, product: Any, tile: Tile) -> None:
    """Loops become (b t), chunk, vectors of positions, rows of a chunk, k, register tile."""
    b, t, o, i, k = sch.get_loops(product)
    both = sch.fuse(b, t)
    chunk, row, register_row = sch.split(o, [None, tile.chunk // tile.filters, tile.filters])
    position, vector, lane = sch.split(i, [None, tile.vectors, tile.lanes])
    sch.reorder(both, chunk, position, row, k, register_row, vector, lane)
    sums = sch.cache_write(product, 0, "local")
    sch.reverse_compute_at(sums, row)
    *_, register_row, position = sch.get_loops(sums)
    vector, lane = sch.split(position, [None, tile.lanes])
    sch.vectorize(lane)
    loops.unroll(sch, [register_row, vector])


def _cut_store(sch: s_tir.Schedule, store: Any, tile: Tile) -> Any:
    """Loops become (b t), chunk of rows, row, positions of the tile; return the chunk loop."""
    linear = tile.op == "linear"
    if linear:
        *batch, o = sch.get_loops(store)
        y, x = None, sch.fuse(*batch)
    else:
        *batch, o, y, x = sch.get_loops(store)
    if tile.rows:
        t, y = sch.split(y, [None, tile.rows])
        inner = [y, x]
    else:
        t, position = sch.split(x if y is None else sch.fuse(y, x), [None, tile.run])
        inner = [position]
    chunk, row = sch.split(o, [None, tile.chunk])
    sch.reorder(t, chunk, *([*inner, row] if linear else [row, *inner]))
    if not linear:
        sch.fuse(*batch, t)
    loops.vectorize(sch, row if linear else inner[-1], tile.lanes)
    return chunk


def _fill_registers(sch: s_tir.Schedule, product: Any, tile: Tile) -> None:
    """Keep a register tile's sums in registers: vector lanes, everything else unrolled."""
    *_, k, row, vector, lane = sch.get_loops(product)
    sch.vectorize(lane)
    loops.unroll(sch, [row, vector])
    first = sch.decompose_reduction(product, k)
    *_, row, vector, lane = sch.get_loops(first)
    sch.vectorize(lane)
    loops.unroll(sch, [row, vector])
