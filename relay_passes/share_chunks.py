"""Threads take runs of chunks that are equal work, not equal numbers of chunks.

The runtime divides a parallel loop in equal numbers of iterations. Schedules mark the loops whose
iterations are unequal work with the cuts between threads, see `tvm_sparse.shares`::

    for chunk in T.parallel(12):          for thread in T.parallel(2):
        ...                         →         for chunk in range(cut[thread], cut[thread + 1]):
                                                  ...

The cuts, few and known, are in the code. Without this pass such a loop runs as it is.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import tvm
from tvm import tirx

from tvm_sparse import compat
from tvm_sparse.schedules.loops import CUTS


@tirx.transform.prim_func_pass(opt_level=0, name="ShareChunks")
class ShareChunks:
    """Divide marked parallel loops at their cuts."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        return func.with_body(compat.rewrite(func.body, tirx.For, _shared))


def _shared(loop: tirx.For) -> tirx.For:
    if CUTS not in loop.annotations:
        return loop
    left = {key: value for key, value in loop.annotations.items() if key != CUTS}
    cuts = [int(cut) for cut in loop.annotations[CUTS]]
    kind = loop.loop_var.ty.dtype
    thread = tirx.Var("thread", kind)
    sizes = [end - first for first, end in pairwise(cuts)]
    own = compat.with_loop(
        loop,
        min=_chosen(cuts[:-1], thread),
        extent=_chosen(sizes, thread),
        kind=tirx.ForKind.SERIAL,
        annotations=left,
    )
    zero, threads = (tirx.IntImm(kind, value) for value in (0, len(cuts) - 1))
    return tirx.For(thread, zero, threads, tirx.ForKind.PARALLEL, own)


def _chosen(values: list[int], which: tirx.Var) -> Any:
    """Return ``values[which]`` as an expression."""
    kind = which.ty.dtype
    chosen: Any = tirx.IntImm(kind, values[-1])
    for number in reversed(range(len(values) - 1)):
        value = tirx.IntImm(kind, values[number])
        chosen = tirx.Select(which <= number, value, chosen)
    return chosen
