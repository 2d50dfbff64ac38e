"""Ask for weights some time before they are multiplied.

A network's weights exceed the caches, so that each run streams them from memory, and a short inner
loop that also reads inputs hides the stream from the hardware's own prefetcher. Schedules mark the
loop over taps with a distance; here every tap asks for the cache lines that lie so far ahead::

    for k in range(ptr[b + 1] - ptr[b]):       for k in range(ptr[b + 1] - ptr[b]):
        A[i] += W[ptr[b] + k, i] * ...     →       prefetch(W[ptr[b] + k + 128, 0])
                                                   A[i] += W[ptr[b] + k, i] * ...

An address beyond the last weight is harmless: prefetching never faults.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import ir, tirx

from tvm_sparse import compat
from tvm_sparse.schedules.loops import STREAM

_LINE = 64
_READ, _KEEP, _DATA = 0, 3, 1  # the arguments of llvm.prefetch: rw, locality, cache type


@tirx.transform.prim_func_pass(opt_level=0, name="PrefetchWeights")
class PrefetchWeights:
    """Put prefetches into the loops that schedules marked."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        return func.with_body(compat.rewrite(func.body, tirx.For, _loop))


def _loop(loop: tirx.For) -> tirx.For:
    if STREAM not in loop.annotations:
        return loop
    left = {key: value for key, value in loop.annotations.items() if key != STREAM}
    weight = _weight(loop)
    if weight is None:
        return compat.with_loop(loop, annotations=left)
    nbytes = int(loop.annotations[STREAM])
    ahead = [_prefetch(weight, line, nbytes) for line in _lines(weight)]
    return compat.with_loop(loop, body=tirx.SeqStmt([*ahead, loop.body]), annotations=left)


def _weight(loop: tirx.For) -> Any:
    """Return the load of the loop's first weight, in variables from outside and of the loop."""
    products: list[Any] = []
    _, values = compat.first_block(loop.body)
    compat.visit(loop.body, tirx.Mul, products.append)
    loads = (_stored(node.a) for node in products)
    weight = next((load for load in loads if load is not None), None)
    if weight is None:
        return None
    indices = [compat.substitute(compat.substitute(i, values), values) for i in weight.indices]
    return tirx.BufferLoad(weight.source, indices)


def _stored(value: Any) -> Any:
    """Return the load of weights below what widens them or looks them up, or None."""
    loads: list[Any] = []
    compat.visit(value, ir.TensorLoad, loads.append)
    return next((load for load in loads if len(load.indices) > 1), None)


def _lines(weight: Any) -> range:
    """Return the elements of a tap's weights at which cache lines begin."""
    per_line = _LINE * 8 // tvm.DataType(str(weight.ty.dtype)).bits
    return range(0, int(weight.source.shape[-1]), per_line)


def _prefetch(weight: Any, element: int, ahead: int) -> tirx.Evaluate:
    *outer, tap, _ = weight.indices
    width = int(weight.source.shape[-1])
    taps = ahead * 8 // (tvm.DataType(str(weight.ty.dtype)).bits * width)
    index = [*outer, tap + max(taps, 1), tirx.IntImm(tap.ty.dtype, element)]
    address = tirx.address_of(tirx.BufferLoad(weight.source, index))
    hints = [tirx.IntImm("int32", hint) for hint in (_READ, _KEEP, _DATA)]
    return tirx.Evaluate(tirx.call_intrin("void", "tirx.prefetch", address, *hints))
