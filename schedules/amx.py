"""Products of tiles of AMX.

Before::

    for b, t, o, i, k, w: A[b, t, o, i] = dot4(A[…], packed[…], values[…])

After::

    for bt in parallel:
        pack
        for chunk of rows:
            for positions:
                for register tile of rows:
                    sums = 0
                    for k:
                        for tile of rows, tile of positions:           # unrolled
                            for o, i, w in 16, 16, 16: dot4            # marked as one instruction
                    A = sums
            epilogue, row by row, vectors along the image's width

`tvm_sparse.relay_passes.lower_amx` makes instructions of what is marked.
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.amx import SIDE, AmxTile
from tvm_sparse.schedules import loops, tiles

AMX = "tvm_sparse.amx"  # the annotation of a product, and the mark of a loop nest


def rule(func: tirx.PrimFunc, target: Target, tunable: bool) -> s_tir.Schedule | None:
    """Schedule a product whose taps are tiles; None for any other."""
    sch = s_tir.Schedule(func)
    found = loops.take_annotation(sch, AMX)
    if found is None:
        return None
    tile = AmxTile(**found)
    last = loops.inline_all(sch)
    product = sch.get_sblock("product")
    k = _cut_product(sch, product, tile)
    write_back(sch, product, sch.get_loops(product)[3])
    chunk = sch.get_loops(product)[1]
    sch.merge(chunk, tiles.cut_store(sch, last, tile))
    both, chunk = sch.get_loops(product)[:2]
    if not tile.in_place:
        sch.compute_at(sch.get_sblock("pack"), both)
    loops.divide(sch, both if tile.parallel == "tiles" else chunk, tile.cuts)
    fill_tiles(sch, product, k)
    return sch


def fill_tiles(sch: s_tir.Schedule, product: Any, k: Any) -> None:
    """Clear the sums in front of the loop k over taps, and mark what is inside of it."""
    depth = [sch.get(loop) for loop in sch.get_loops(product)].index(sch.get(k))
    first = sch.decompose_reduction(product, k)
    _mark(sch, sch.get_loops(first)[depth:], "zero")
    _mark(sch, sch.get_loops(product)[depth + 1 :], "multiply")


def _cut_product(sch: s_tir.Schedule, product: Any, tile: AmxTile) -> Any:
    """Loops become (b t), chunk, positions, rows of a chunk, k, register tile; return k."""
    b, t, o, i, k, w = sch.get_loops(product)
    both = sch.fuse(b, t)
    chunk, row, register_row, filter_ = sch.split(
        o, [*tiles.chunks(tile), tile.filters // SIDE, SIDE]
    )
    position, vector, lane = sch.split(i, [None, tile.vectors, SIDE])
    sch.reorder(both, chunk, position, row, k, register_row, vector, filter_, lane, w)
    return k


def write_back(sch: s_tir.Schedule, product: Any, around: Any) -> None:
    """Write a register tile's sums back tile by tile, in the loop `around` it."""
    sums = sch.cache_write(product, 0, "local")
    sch.reverse_compute_at(sums, around, preserve_unit_loops=True)
    *_, o, i = sch.get_loops(sums)
    register_row, filter_ = sch.split(o, [None, SIDE])
    vector, lane = sch.split(i, [None, SIDE])
    sch.reorder(register_row, vector, filter_, lane)
    _mark(sch, [register_row, vector, filter_, lane], "store")


def _mark(sch: s_tir.Schedule, inside: Any, what: str) -> None:
    """Unroll the loops over tiles, and mark the nest of one tile."""
    register_row, vector, filter_ = inside[:3]
    loops.unroll(sch, [register_row, vector])
    sch.annotate(filter_, AMX, what)
