"""Linear layers whose filters stand in vector lanes.

Before::

    for m, o, k: A[m, o] += W[o, k] * X[m, k]
    for m, o: Y[m, o] = epilogue(A[m, o])

After::

    for panel of filters in parallel:
        for tile of rows:
            for k: rows × vectors of filters multiply-adds in registers
            epilogue
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.schedules import loops
from tvm_sparse.tile import PanelTile

PANEL = "tvm_sparse.panel"
AHEAD = 16384  # bytes: rows are few, so that weights come as fast as caches deliver them


def rule(func: tirx.PrimFunc, target: Target, tunable: bool) -> s_tir.Schedule | None:
    """Schedule a function whose ``product`` block carries a panel; None for any other."""
    sch = s_tir.Schedule(func)
    found = loops.take_annotation(sch, PANEL)
    if found is None:
        return None
    tile = PanelTile(**found)
    last = loops.inline_all(sch)
    product = sch.get_sblock("product")
    m, o, k = sch.get_loops(product)
    panel, lane = sch.split(o, [None, tile.filters])
    tiles, row = sch.split(m, [None, tile.rows])
    vector, lane = sch.split(lane, [None, min(tile.lanes, tile.filters)])
    sch.reorder(panel, tiles, k, row, vector, lane)
    store_registers(sch, product, last, tile)
    loops.fill_registers(sch, product, k)
    loops.stream_weights(sch, k, AHEAD)
    return sch


def store_registers(sch: s_tir.Schedule, product: Any, store: Any, tile: PanelTile) -> None:
    """Store each register tile when it is computed; the product's first loops are panels, tiles."""
    sums = sch.cache_write(product, 0, "local")
    tiles = sch.get_loops(product)[1]
    sch.reverse_compute_at(sums, tiles, preserve_unit_loops=True)
    loops.vectorize_tile(sch, sums, min(tile.lanes, tile.filters))
    sch.merge(sch.get_loops(product)[1], cut_store(sch, store, tile))
    outer, inner = sch.get_loops(product)[:2]
    loops.divide(sch, outer if tile.parallel == "panels" else inner, tile.cuts)


def cut_store(sch: s_tir.Schedule, store: Any, tile: PanelTile) -> Any:
    """Loops become panel, tile of rows, row, vectors of filters; return the loop over tiles."""
    *lead, o = sch.get_loops(store)
    panel, lane = sch.split(o, [None, tile.filters])
    tiles, row = sch.split(sch.fuse(*lead), [None, tile.rows])
    sch.reorder(panel, tiles, row, lane)
    loops.vectorize(sch, lane, tile.lanes)
    return tiles
