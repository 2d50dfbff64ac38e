"""Element-wise chains, broadcasts and layout changes: one pass over the output.

Before: ``for n, c, h, w: T_add; for n, c, h, w: T_relu``; after, with short inner loops joined::

    for n_c in T.parallel(...):
        for hw in ...:
            for lane in T.vectorized(lanes): relu(add(...))
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.schedules import loops

_SHORT = 256  # inner loops are joined until a thread's piece of work has at least as many elements


def rule(func: tirx.PrimFunc, target: Target, tunable: bool, lanes: int) -> s_tir.Schedule | None:
    """Schedule a function without reductions; None for any other."""
    sch = s_tir.Schedule(func)
    found = loops.blocks(sch)
    if not found or not all(loops.is_injective(sch, block) for block in found):
        return None
    loops.inline_all(sch)
    for block in loops.blocks(sch):
        one_pass(sch, block, lanes)
    return sch


def one_pass(sch: s_tir.Schedule, block: Any, lanes: int) -> None:
    """Cut a block's loops into a parallel outer one and a vectorized inner one."""
    around = sch.get_loops(block)
    if not around:
        return
    inner = len(around) - 1
    size = loops.extent(sch, around[inner])
    while inner > 0 and size < _SHORT:
        inner -= 1
        size *= loops.extent(sch, around[inner])
    joined = sch.fuse(*around[inner:])
    if inner > 0:
        sch.parallel(sch.fuse(*around[:inner]))
        loops.vectorize(sch, joined, lanes, most=1)
    else:
        outer = loops.vectorize(sch, joined, lanes, most=1)
        if outer is not None and size > 64 * _SHORT:
            sch.parallel(outer)
