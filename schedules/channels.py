"""Depthwise convolutions and pooling: every channel by itself, its tile packed into L1.

Before::

    for b, t, g, c: pack
    for b, t, o, i, k: A[b, t, o, i] += W[o, k] * packed[b, t, o, offset of k + i]
    for b, o, y, x: Y[b, o, y, x] = epilogue(A[b, tile, o, lane])

After::

    for channel in parallel:
        for tile of rows:
            pack
            for vector of columns:
                several rows of it, all taps, in registers; epilogue

A register tile holds the same columns of neighbouring rows. Offsets of taps are constants, so LLVM
sees that the last kernel rows of one row read what the first ones of the next rows read: it loads
each vector once.
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.schedules import loops
from tvm_sparse.tile import Tile


def rule(func: tirx.PrimFunc, target: Target, tunable: bool) -> s_tir.Schedule | None:
    """Schedule a function whose tile is parallel over channels; None for any other."""
    sch = s_tir.Schedule(func)
    found = loops.take_annotation(sch, loops.TILE)
    if found is None or found["parallel"] != "channels":
        return None
    tile = Tile(**found)
    last = loops.inline_all(sch)
    product, pack = sch.get_sblock("product"), sch.get_sblock("pack")
    b, t, o, i, k = sch.get_loops(product)
    tiles = loops.extent(sch, t)
    chunk, o = sch.split(o, [None, tile.chunk])
    strip, row, vector, lane = sch.split(i, [None, tile.vectors, tile.strip, tile.lanes])
    k, tap = sch.split(k, [None, tile.taps])
    sch.reorder(b, chunk, t, o, strip, vector, k, row, tap, lane)
    sch.set_scope(product, 0, "local")
    sch.merge(vector, _cut_store(sch, last, tile, tiles))
    b, chunk, t = sch.get_loops(product)[:3]
    sch.compute_at(pack, t)
    sch.parallel(sch.fuse(b, chunk))
    _fill_registers(sch, product, k)
    return sch


def _fill_registers(sch: s_tir.Schedule, product: Any, k: Any) -> None:
    """Unroll rows and taps: equal loads of different rows become one, weights stay in registers."""
    *_, row, tap, lane = sch.get_loops(product)
    sch.vectorize(lane)
    loops.unroll(sch, [row, tap])
    first = sch.decompose_reduction(product, k)
    *_, row, lane = sch.get_loops(first)
    sch.vectorize(lane)
    sch.unroll(row)


def _cut_store(sch: s_tir.Schedule, store: Any, tile: Tile, tiles: int) -> Any:
    """Store each register tile as soon as it is computed; return the loop over its columns."""
    b, o, y, x = sch.get_loops(store)
    chunk, o = sch.split(o, [None, tile.chunk])
    strips = tile.rows // tile.fold // tile.vectors
    t, strip, row, folded = sch.split(y, [tiles, strips, tile.vectors, tile.fold])
    columns = [tile.strip, tile.lanes] if tile.fold == 1 else [1, None]
    vector, lane = sch.split(x, columns)
    sch.reorder(b, chunk, t, o, strip, vector, row, folded, lane)
    sch.vectorize(lane)
    loops.unroll(sch, [row, folded])
    return vector
