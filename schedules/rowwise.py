"""Reductions over rows, and what surrounds them: softmax, layer norm, means, sums.

Before::

    for i, k: maximum[i] = max(maximum[i], X[i, k])
    for i, k: e[i, k] = exp(X[i, k] - maximum[i])
    for i, k: total[i] += e[i, k]
    for i, k: Y[i, k] = e[i, k] / total[i]

After::

    for i in T.parallel(...):
        each of the four, on vectors; a reduction first into one sum a lane, then over the lanes
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse import compat
from tvm_sparse.schedules import loops


def rule(func: tirx.PrimFunc, target: Target, tunable: bool, lanes: int) -> s_tir.Schedule | None:
    """Schedule a function whose blocks share leading loops; None if they share none."""
    sch = s_tir.Schedule(func)
    _inline_cheap(sch)
    blocks = loops.blocks(sch)
    shared = _same_axes(sch, blocks, _shared_loops(sch, blocks))
    if not blocks or shared == 0 or all(loops.is_injective(sch, block) for block in blocks):
        return None
    blocks = [part for block in blocks for part in _by_lanes(sch, block, shared, lanes)]
    rows = [sch.fuse(*sch.get_loops(block)[:shared]) for block in blocks]
    if len(rows) > 1:
        sch.merge(*rows)  # compute_at would lose the guards of ragged rows
    for block in blocks:
        _vectorize(sch, block, lanes)
    sch.parallel(sch.get_loops(blocks[-1])[0])
    return sch


def _inline_cheap(sch: s_tir.Schedule) -> None:
    """Inline element-wise blocks that are read once; what is read twice is computed once."""
    for block in loops.blocks(sch):
        if loops.is_injective(sch, block) and len(sch.get_consumers(block)) == 1:
            try:
                sch.compute_inline(block)
            except s_tir.ScheduleError:
                continue


def _shared_loops(sch: s_tir.Schedule, blocks: list[Any]) -> int:
    """Return how many leading spatial loops of equal extent all blocks have."""
    shared: list[int] | None = None
    for block in blocks:
        stmt = sch.get(block)
        spatial = []
        for loop, iv in zip(sch.get_loops(block), stmt.iter_vars, strict=False):
            if iv.iter_type != tirx.IterVar.DataPar:
                break
            spatial.append(loops.extent(sch, loop))
        if loops.is_injective(sch, block) and shared is None and len(spatial) > 1:
            spatial = spatial[:-1]
        shared = spatial if shared is None else _common(shared, spatial)
    return len(shared or [])


def _same_axes(sch: s_tir.Schedule, blocks: list[Any], shared: int) -> int:
    """Return how many leading loops stand for the same axes of all that one block leaves another.

    A softmax over the channels of an image has maxima by row and column: their loops are not the
    image's first ones, though these may be as long.
    """
    stmts = [sch.get(block) for block in blocks]
    written = {region.source for stmt in stmts for region in stmt.writes}
    for stmt in stmts:
        for region in (region for region in stmt.reads if region.source in written):
            for place, axis in enumerate(region.region[:shared]):
                own = axis.min.same_as(stmt.iter_vars[place].var)
                if not own and int(region.source.shape[place]) != 1:
                    shared = place
                    break
    return shared


def _common(a: list[int], b: list[int]) -> list[int]:
    same = 0
    while same < min(len(a), len(b)) and a[same] == b[same]:
        same += 1
    return a[:same]


def _by_lanes(sch: s_tir.Schedule, block: Any, shared: int, lanes: int) -> list[Any]:
    """Split a reduction into one sum a lane and a reduction over the lanes."""
    stmt = sch.get(block)
    kinds = [iv.iter_type for iv in stmt.iter_vars]
    reduced = [
        loop
        for loop, kind in zip(sch.get_loops(block), kinds, strict=True)
        if kind == tirx.IterVar.CommReduce
    ]
    if not reduced or kinds[-1] != tirx.IterVar.CommReduce or len(stmt.writes) != 1:
        return [block]
    joined = sch.fuse(*reduced)
    if loops.extent(sch, joined) < 2 * lanes:
        return [block]
    _, lane = sch.split(joined, [None, lanes])
    return [sch.rfactor(lane, factor_axis=shared), block]


def _vectorize(sch: s_tir.Schedule, block: Any, lanes: int) -> None:
    """Vectorize a block's innermost spatial loop inside the row."""
    inner = sch.get_loops(block)[1:]
    spatial = [loop for loop in inner if _is_spatial(sch, block, loop)]
    if not spatial or loops.extent(sch, spatial[-1]) == 1:
        return
    sch.reorder(*[loop for loop in inner if loop is not spatial[-1]], spatial[-1])
    loops.vectorize(sch, spatial[-1], lanes)


def _is_spatial(sch: s_tir.Schedule, block: Any, loop: Any) -> bool:
    """Whether a loop drives only data-parallel axes of a block."""
    realize_values = compat.block_bindings(sch, block)
    variable = sch.get(loop).loop_var
    kinds = [kind for kind, value in realize_values if compat.uses(value, {variable})]
    return bool(kinds) and all(kind == tirx.IterVar.DataPar for kind in kinds)
