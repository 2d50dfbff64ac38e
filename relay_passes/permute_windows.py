"""Gathers within a window become a load and a permutation of its lanes.

A function of windows (`tvm_sparse.algorithms.windows`) reads the inputs of a vector of filters at
lane numbers, each smaller than the number of lanes, beyond a common start. The window is wholly
inside its buffer, so that it can be loaded; schedules mark such functions with the target's
intrinsic::

    X[T.Broadcast(start, 16) + (lane & 15)]    →    permute(X[T.Ramp(start, 1, 16)], lane)
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import tvm
from tvm import ir, tirx

from tvm_sparse import compat
from tvm_sparse.schedules.windows import PERMUTE


@tirx.transform.prim_func_pass(opt_level=0, name="PermuteWindows")
class PermuteWindows:
    """Replace the gathers of marked functions, after loops have been vectorized."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        intrinsic = func.attrs.get(PERMUTE) if func.attrs else None
        if not intrinsic:
            return func
        change = functools.partial(_permuted, intrinsic=str(intrinsic))
        return func.with_body(compat.rewrite(func.body, ir.TensorLoad, change))


def _permuted(load: Any, intrinsic: str) -> Any:
    if len(load.indices) != 1:
        return load
    terms = list(_terms(load.indices[0]))
    lanes = [term for term in terms if not isinstance(term, tirx.Broadcast)]
    if len(lanes) != 1 or not _is_masked(lanes[0]):
        return load
    starts = [term.value for term in terms if isinstance(term, tirx.Broadcast)]
    start = functools.reduce(lambda a, b: a + b, starts, tirx.IntImm("int32", 0))
    number = int(tvm.DataType(str(load.ty.dtype)).lanes)
    window = tirx.BufferLoad(
        load.source, [tirx.Ramp(start, tirx.IntImm(start.ty.dtype, 1), number)]
    )
    return tirx.call_llvm_pure_intrin(load.ty.dtype, intrinsic, window, lanes[0].a)


def _terms(index: Any) -> Iterator[Any]:
    """Yield the terms of a sum."""
    if isinstance(index, tirx.Add):
        yield from _terms(index.a)
        yield from _terms(index.b)
    else:
        yield index


def _is_masked(index: Any) -> bool:
    """Whether a term is ``lane & mask``, in 32 bits."""
    return isinstance(index, ir.prim.BitwiseAnd) and str(index.ty.dtype).startswith("int32")
