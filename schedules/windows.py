"""Linear layers whose filters stand in vector lanes, each of which selects its inputs.

Before::

    for m, o, g, u, s: A[m, o] += W[o, slot(g, u, s)] * X[m, channel[o, slot(g, u, s)]]
    for m, o: Y[m, o] = epilogue(A[m, o])

After::

    for panel of filters in parallel:
        for tile of rows:
            for g: the windows of a step, their slots, vectors and rows unrolled, in registers
            epilogue
"""

from __future__ import annotations

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.schedules import loops, panels
from tvm_sparse.tile import WindowTile

WINDOWS = "tvm_sparse.windows"
PERMUTE = "tvm_sparse.permute"  # marks functions: the intrinsic for the gathers that are left


def rule(func: tirx.PrimFunc, target: Target, tunable: bool) -> s_tir.Schedule | None:
    """Schedule a function whose ``product`` block carries windows; None for any other."""
    sch = s_tir.Schedule(func)
    found = loops.take_annotation(sch, WINDOWS)
    if found is None:
        return None
    tile = WindowTile(**found)
    sch = s_tir.Schedule(sch.mod["main"].with_attr(PERMUTE, tile.permute))
    last = loops.inline_all(sch)
    product = sch.get_sblock("product")
    m, o, g, window, slot = sch.get_loops(product)
    panel, vector, lane = sch.split(o, [None, tile.filters // tile.lanes, tile.lanes])
    tiles, row = sch.split(m, [None, tile.rows])
    sch.reorder(panel, tiles, g, window, slot, vector, row, lane)
    panels.store_registers(sch, product, last, tile)
    loops.fill_registers(sch, product, g)
    loops.stream_weights(sch, slot, panels.AHEAD)
    return sch
