"""Linear layers over pairs of bfloat16 in tiles of AMX.

Before::

    for m, o, k, w: A[m, o] = dot2(A[m, o], X[…], values[…])
    for m, o: Y[m, o] = epilogue(A[m, o])

After::

    for panel of filters in parallel:
        for tile of rows:
            sums = 0
            for k:
                for tile of rows, tile of filters:             # unrolled
                    for m, o, w in 16, 16, 16: dot2            # marked as one instruction
            A = sums
            epilogue
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.amx import SIDE, AmxPanelTile
from tvm_sparse.schedules import amx, loops, panels

PANEL = "tvm_sparse.amx_panel"


def rule(func: tirx.PrimFunc, target: Target, tunable: bool) -> s_tir.Schedule | None:
    """Schedule a function whose ``product`` block carries such a panel; None for any other."""
    sch = s_tir.Schedule(func)
    found = loops.take_annotation(sch, PANEL)
    if found is None:
        return None
    tile = AmxPanelTile(**found)
    last = loops.inline_all(sch)
    product = sch.get_sblock("product")
    k = _cut_product(sch, product, tile)
    amx.write_back(sch, product, sch.get_loops(product)[1])
    sch.merge(sch.get_loops(product)[1], panels.cut_store(sch, last, tile))
    outer, inner = sch.get_loops(product)[:2]
    loops.divide(sch, outer if tile.parallel == "panels" else inner, tile.cuts)
    amx.fill_tiles(sch, product, k)
    return sch


def _cut_product(sch: s_tir.Schedule, product: Any, tile: AmxPanelTile) -> Any:
    """Loops become panel, rows, k, register tile; return k."""
    m, o, k, w = sch.get_loops(product)
    panel, vector, lane = sch.split(o, [None, tile.filters // SIDE, SIDE])
    rows, register_row, row = sch.split(m, [None, tile.rows // SIDE, SIDE])
    sch.reorder(panel, rows, k, register_row, vector, row, lane, w)
    return k
