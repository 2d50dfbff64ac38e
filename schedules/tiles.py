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

A weight in two parts has a second such product in each chunk, with its own register tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.schedules import loops, pooled, slices
from tvm_sparse.tile import Tile


def rule(func: tirx.PrimFunc, target: Target, tunable: bool) -> s_tir.Schedule | None:
    """Schedule a function whose tile is parallel over tiles or filters; None for any other."""
    sch = s_tir.Schedule(func)
    found = loops.take_annotation(sch, loops.TILE)
    if found is None or found["parallel"] == "channels":
        return None
    tile = Tile(**found)
    last = loops.inline_all(sch)
    product = sch.get_sblock("product")
    parts = [(product, tile), *_rest(sch)]
    taps = [_cut_product(sch, *part) for part in parts]
    if tile.direct:
        _store_registers(sch, product, last, tile)
    else:
        _store_chunks(sch, parts, last)
    both, chunk = sch.get_loops(product)[:2]
    if not tile.in_place:
        sch.compute_at(sch.get_sblock("pack"), both)
    loops.divide(sch, both if tile.parallel == "tiles" else chunk, tile.cuts)
    for (part, cuts), k in zip(parts, taps, strict=True):
        position = sch.get_loops(part)[2]
        loops.fill_registers(sch, part, *k)
        _mark_last(sch, position, cuts)
        if cuts.filters > 1:  # lists of single weights are loads enough without prefetches
            loops.stream_weights(sch, k[-1])
    return sch


def _mark_last(sch: s_tir.Schedule, position: Any, tile: Tile) -> None:
    """Say how the last register tile along the positions differs from the others, if it does."""
    if tile.tail:
        sch.annotate(position, loops.TAIL, tile.tail)
    if tile.tail or tile.last < tile.vectors:
        sch.annotate(position, loops.LAST, tile.last)


def _rest(sch: s_tir.Schedule) -> list[tuple[Any, Tile]]:
    """Return the second product and its tile, if the weight is stored in two parts."""
    found = loops.take_annotation(sch, loops.REST)
    return [] if found is None else [(sch.get_sblock("rest"), Tile(**found))]


def _cut_product(sch: s_tir.Schedule, product: Any, tile: Tile) -> list[Any]:
    """Loops become (b t), chunk, vectors of positions, rows of a chunk, k, register tile.

    The loop k over taps may be three, over patterns, their kernels and positions, the last of them
    a part of the register tile; return those that stay loops.
    """
    if tile.slice:
        return [slices.cut(sch, product, tile, chunks(tile))]
    b, t, o, i, *taps = sch.get_loops(product)
    both = sch.fuse(b, t)
    chunk, row, register_row = sch.split(o, [*chunks(tile), tile.filters])
    position, vector, lane = sch.split(i, [None, tile.vectors, tile.lanes])
    sch.reorder(both, chunk, position, row, *taps, register_row, vector, lane)
    return list(taps[:2])


def chunks(tile: Tile) -> list[int | None]:
    """Return the extents of the loops over chunks and over register tiles of a chunk."""
    return [None, tile.chunk // tile.filters] if tile.chunk else [1, None]


def _store_registers(sch: s_tir.Schedule, product: Any, store: Any, tile: Tile) -> None:
    """Store each register tile as soon as it is computed."""
    sch.set_scope(product, 0, "local")
    *batch, o, p = _flat_loops(sch, store, tile)
    t, p = sch.split(p, [None, tile.run])
    position, vector, lane = sch.split(p, [None, tile.vectors, tile.lanes])
    chunk, row, register_row = sch.split(o, [*chunks(tile), tile.filters // tile.word])
    sch.reorder(*batch, t, chunk, position, row, register_row, vector, lane)
    if batch:
        sch.fuse(*batch, t)
    sch.vectorize(lane)
    loops.unroll(sch, [register_row, vector])
    sch.annotate(vector, loops.VECTORS, 1)
    sch.merge(sch.get_loops(product)[3], row)


def _flat_loops(sch: s_tir.Schedule, store: Any, tile: Tile) -> list[Any]:
    """Return the loops over batch, filters and positions of a store."""
    if tile.op == "linear":
        return list(sch.get_loops(store))
    *batch, o, y, x = sch.get_loops(store)
    return [*batch, o, sch.fuse(y, x)]


def _store_chunks(sch: s_tir.Schedule, parts: Sequence[tuple[Any, Tile]], store: Any) -> None:
    """Leave a chunk's sums in cache, then store it row by row."""
    for product, tile in parts:
        if tile.slice:
            continue
        row = sch.get_loops(product)[3]
        sums = sch.cache_write(product, 0, "local")
        sch.reverse_compute_at(sums, row, preserve_unit_loops=True)
        loops.vectorize_tile(sch, sums, tile.lanes)
    chunks = [sch.get_loops(product)[1] for product, _ in parts]
    windows = [block for block in loops.blocks(sch) if sch.get(block).name_hint in pooled.BLOCKS]
    cut = pooled.cut if windows else cut_store
    sch.merge(*chunks, cut(sch, store, parts[0][1]))


def cut_store(sch: s_tir.Schedule, store: Any, tile: Tile) -> Any:
    """Loops become (b t), chunk of rows, row, positions of the tile; return the chunk loop."""
    if tile.rows:
        *batch, o, y, x = sch.get_loops(store)
        t, y = sch.split(y, [None, tile.rows])
        inner = [y, x]
    else:
        *batch, o, position = _flat_loops(sch, store, tile)
        t, position = sch.split(position, [None, tile.run])
        inner = [position]
    chunk, row = sch.split(o, [None, tile.chunk // tile.word] if tile.chunk else [1, None])
    sch.reorder(*batch, t, chunk, row, *inner)
    if batch:
        sch.fuse(*batch, t)
    loops.vectorize(sch, inner[-1], tile.lanes)
    return chunk
