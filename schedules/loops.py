"""Small steps that every CPU schedule repeats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import s_tir, tirx


def extent(sch: s_tir.Schedule, loop: Any) -> int:
    """Return a loop's constant extent."""
    return int(sch.get(loop).extent)


def inline_all(sch: s_tir.Schedule) -> Any:
    """Inline every element-wise block into its consumers and return the block that is left last.

    Before: ``product → store → add(bias) → relu``; after: ``product → relu(store + bias)``.
    """
    root = sch.get_sblock("root")
    for block in sch.get_child_blocks(root):
        if is_injective(sch, block) and sch.get_consumers(block):
            try:
                sch.compute_inline(block)
            except s_tir.ScheduleError:
                continue
    return sch.get_child_blocks(root)[-1]


def is_injective(sch: s_tir.Schedule, block: Any) -> bool:
    """Whether a block computes one element from others, without a reduction."""
    stmt = sch.get(block)
    spatial = all(iv.iter_type == tirx.IterVar.DataPar for iv in stmt.iter_vars)
    return spatial and isinstance(stmt.body, tirx.BufferStore)


def vectorize(sch: s_tir.Schedule, loop: Any, lanes: int, most: int = 4) -> Any:
    """Vectorize a loop: whole when it is short, else in vectors of `lanes`, ragged end or not.

    Returns the outer loop, or None when the loop was vectorized whole.
    """
    size = extent(sch, loop)
    if size <= lanes * most and size > 1:
        sch.vectorize(loop)
        return None
    outer, inner = sch.split(loop, [None, lanes])
    sch.vectorize(inner)
    return outer


def unroll(sch: s_tir.Schedule, loops: Sequence[Any]) -> None:
    """Unroll loops."""
    for loop in loops:
        sch.unroll(loop)
