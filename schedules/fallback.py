"""Anything else: correct on every function, parallel and vectorized where that is plain to see."""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.schedules import loops


def rule(func: tirx.PrimFunc, target: Target, tunable: bool, lanes: int) -> s_tir.Schedule:
    """Make each block's outer spatial loops parallel and its innermost a vector. Always applies."""
    sch = s_tir.Schedule(func)
    for block in loops.blocks(sch):
        trial = sch.copy()
        try:
            _cut(trial, trial.get_sblock(sch.get(block).name_hint), lanes)
        except (s_tir.ScheduleError, ValueError, RuntimeError):
            continue
        sch = trial
    return sch


def _cut(sch: s_tir.Schedule, block: Any, lanes: int) -> None:
    stmt = sch.get(block)
    around = sch.get_loops(block)
    kinds = [iv.iter_type for iv in stmt.iter_vars]
    spatial = [a for a, kind in zip(around, kinds, strict=True) if kind == tirx.IterVar.DataPar]
    reduced = [loop for loop in around if loop not in spatial]
    if not spatial:
        return
    *outer, inner = spatial
    if reduced:
        sch.reorder(*outer, inner, *reduced)
    lane = inner
    if loops.extent(sch, inner) > lanes:
        inner, lane = sch.split(inner, [None, lanes])
        outer = [*outer, inner]
    if reduced:
        sch.reorder(*reduced, lane)
    sch.vectorize(lane)
    if outer:
        sch.parallel(sch.fuse(*outer))
    if reduced:
        sch.decompose_reduction(block, reduced[0])
