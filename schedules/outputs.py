"""Sums of few terms on a GPU, such as depthwise convolutions and pooling: an output a thread.

TVM's own rule lets many threads share each sum, which pays when there are many terms.

Before::

    for n, c, y, x: with T.sblock("pad"): P[...] = ...
    for n, c, y, x, kh, kw: with T.sblock("sum"): A[...] += P[...] * W[...]
    for n, c, y, x: with T.sblock("relu"): Y[...] = max(A[...], 0)

After::

    blockIdx, threadIdx: n, c, y, x
        for kh, kw: A (register) += X[...] * W[...]
        Y[...] = max(A, 0)
"""

from __future__ import annotations

import math
from typing import Any

from tvm import s_tir, tirx
from tvm.target import Target

from tvm_sparse.schedules import loops

_MOST = 128  # terms of a sum
_THREADS = 128


def rule(func: tirx.PrimFunc, target: Target, tunable: bool) -> s_tir.Schedule | None:
    """Schedule a function with one sum of few terms; None for any other."""
    sch = s_tir.Schedule(func)
    sums = [block for block in loops.blocks(sch) if _terms(sch, block)]
    if len(sums) != 1 or math.prod(_terms(sch, sums[0])) > _MOST:
        return None
    if len(sch.get(sums[0]).writes) != 1:  # the largest value and its index
        return None
    try:
        _bind(sch, sums[0])
    except s_tir.ScheduleError:  # what stands around the sum is more than a chain of elements
        return None
    return sch


def _terms(sch: s_tir.Schedule, block: Any) -> list[int]:
    """Return the extents of a block's reduced axes."""
    axes = [iv for iv in sch.get(block).iter_vars if iv.iter_type == tirx.IterVar.CommReduce]
    return [int(iv.dom.extent) for iv in axes]


def _bind(sch: s_tir.Schedule, total: Any) -> None:
    *before, last = loops.blocks(sch)
    name, reduced = sch.get(total).name_hint, len(_terms(sch, total))
    for block in before:
        if sch.get(block).name_hint != name:
            sch.compute_inline(block)
    if sch.get(last).name_hint == name:
        last = sch.cache_write(total, 0, "local")
    else:
        sch.set_scope(total, 0, "local")
    group, thread = sch.split(sch.fuse(*sch.get_loops(last)), [None, _THREADS])
    sch.bind(group, "blockIdx.x")
    sch.bind(thread, "threadIdx.x")
    sch.compute_at(total, thread, preserve_unit_loops=True)
    sch.decompose_reduction(total, sch.get_loops(total)[-reduced])
