"""The store of a convolution that is pooled at once, see `tvm_sparse.algorithms.pooled`.

Before::

    for b, o, y: down(D[b, o, y])
    for b, o, y: across(Y[b, o, y])
    for b, o, y, x: Z[b, o, y, x] = epilogue(Y[b, o, y, x])

After, with the product's loops around it::

    for b:
        for chunk of rows:
            for row, y:
                down; across; epilogue
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir

from tvm_sparse.schedules import loops
from tvm_sparse.tile import Tile

BLOCKS = ("down", "across")


def cut(sch: s_tir.Schedule, store: Any, tile: Tile) -> Any:
    """Loops become (b t), chunk of rows, row, rows of windows; return the chunk loop."""
    b, o, y, *x = sch.get_loops(store)
    t, y = sch.split(y, [1, None])
    chunk, row = sch.split(o, [None, tile.chunk] if tile.chunk else [1, None])
    sch.reorder(b, t, chunk, row, y, *x)
    sch.fuse(b, t)
    if sch.get(store).name_hint not in BLOCKS:
        loops.vectorize(sch, x[0], tile.lanes)
    for name in reversed(BLOCKS):
        block = sch.get_sblock(name)
        if sch.get(block) != sch.get(store):
            sch.compute_at(block, y)
            sch.set_scope(block, 0, "local")
    return chunk
