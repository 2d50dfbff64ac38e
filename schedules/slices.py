"""Register-tiled products over slices of input channels.

Before::

    for b, t, s, o, i, k: Q[b, t, s, o, i] += W[s, o, k] * packed[b, t, offset[k] + i]
    for b, t, s, o, i: A[b, t, o, i] += Q[b, t, s, o, i]

After::

    for bt, chunk of rows:
        for vectors of positions:
            for slice:
                for row:
                    for k: vectors of multiply-adds in registers
                    add the registers to the row's sums in cache
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir

from tvm_sparse.schedules import loops
from tvm_sparse.tile import Tile


def cut(sch: s_tir.Schedule, product: Any, tile: Tile, chunks: list[int | None]) -> Any:
    """Cut the loops of a product in slices, add each register tile up; return the loop over taps.

    Loops become (b t), chunk, vectors of positions, slice, rows of a chunk, k, register tile.
    """
    b, t, s, o, i, k = sch.get_loops(product)
    both = sch.fuse(b, t)
    chunk, row, register_row = sch.split(o, [*chunks, tile.filters])
    position, vector, lane = sch.split(i, [None, tile.vectors, tile.lanes])
    sch.reorder(both, chunk, position, s, row, k, register_row, vector, lane)
    sums = sch.get_sblock("sum")
    sch.reverse_compute_at(sums, row, preserve_unit_loops=True)
    sch.set_scope(product, 0, "local")
    loops.vectorize_tile(sch, sums, tile.lanes)
    return k
