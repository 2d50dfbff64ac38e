"""Linear layers whose weights are codes of four bits, with filters in vector lanes.

Before::

    for m, o, k: A[m, o] += scale[o, group(k)] * Σ over 8 codes j: number(words[o, k], j) * X[m, …]
    for m, o: Y[m, o] = epilogue(A[m, o])

After::

    for panel of filters in parallel:
        for tile of rows:
            for k: rows × vectors of filters × 8 multiply-adds in registers
            epilogue
"""

from __future__ import annotations

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.schedules import loops, panels
from tvm_sparse.schedules.windows import PERMUTE
from tvm_sparse.tile import NibbleTile

NIBBLES = "tvm_sparse.nibbles"


def rule(func: tirx.PrimFunc, target: Target, tunable: bool) -> s_tir.Schedule | None:
    """Schedule a function whose ``product`` block carries nibbles; None for any other."""
    sch = s_tir.Schedule(func)
    found = loops.take_annotation(sch, NIBBLES)
    if found is None:
        return None
    tile = NibbleTile(**found)
    if tile.permute:
        sch = s_tir.Schedule(sch.mod["main"].with_attr(PERMUTE, tile.permute))
    last = loops.inline_all(sch)
    product = sch.get_sblock("product")
    m, o, k = sch.get_loops(product)
    panel, vector, lane = sch.split(o, [None, tile.filters // tile.lanes, tile.lanes])
    tiles, row = sch.split(m, [None, tile.rows])
    sch.reorder(panel, tiles, k, vector, row, lane)
    panels.store_registers(sch, product, last, tile)
    loops.fill_registers(sch, product, k)
    loops.stream_weights(sch, k, panels.AHEAD)
    return sch
