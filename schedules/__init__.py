"""Default schedules: an ordered list of rules, each a file.

A rule looks at a function and returns its schedule, or None for "not mine". Order is meaning: our
own algorithms carry annotations and come first, the last rule takes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tvm import s_tir, tirx
from tvm.s_tir.dlight import ScheduleRule
from tvm.target import Target as TvmTarget

from tvm_sparse.schedules import (
    amx,
    amx_panels,
    attention,
    channels,
    columns,
    elementwise,
    fallback,
    matmul,
    nibbles,
    outputs,
    panels,
    rowwise,
    tiles,
    windows,
    workgroups,
)
from tvm_sparse.targets import Target

__all__ = ["gpu_rules", "rules"]


def rules(target: Target) -> list[ScheduleRule]:
    """Return the CPU rules for a target, in the order in which they are asked."""
    lanes = target.lanes
    ordered: list[Callable[..., Any]] = [
        channels.rule,
        tiles.rule,
        amx.rule,
        attention.rule,
        columns.rule,
        panels.rule,
        amx_panels.rule,
        windows.rule,
        nibbles.rule,
        partial(elementwise.rule, lanes=lanes),
        partial(matmul.rule, lanes=lanes, registers=target.registers),
        partial(rowwise.rule, lanes=lanes),
        partial(fallback.rule, lanes=lanes),
    ]
    return [_Rule(apply) for apply in ordered]


def gpu_rules() -> list[ScheduleRule]:
    """Return the rules for GPUs: ours, then TVM's."""
    gpu = s_tir.dlight.gpu
    stock = (gpu.Matmul(), gpu.GEMV(), gpu.Reduction(), gpu.GeneralReduction(), gpu.Fallback())
    return [_Rule(workgroups.rule), _Rule(outputs.rule), *stock]


class _Rule(ScheduleRule):
    """A function as an object of TVM's rule protocol."""

    def __init__(self, apply: Callable[..., Any]) -> None:
        self._apply = apply

    def apply(self, func: tirx.PrimFunc, target: TvmTarget, tunable: bool) -> s_tir.Schedule | None:
        """Return the function's schedule, or None."""
        schedule: s_tir.Schedule | None = self._apply(func, target, tunable)
        return schedule
