"""Kernels whose weights are stored in sixteen bits, and widened to floats in registers.

Any kernel of floats becomes one: its weights' buffers change their type, and what is loaded from
them is widened, a shift for bfloat16, a conversion for float16::

    values: T.Buffer((249, 16), "float32")    →    values: T.Buffer((249, 16), "uint16")
    values[k, i] * x                          →    reinterpret(uint32(values[k, i]) << 16) * x

Sums stay floats of 32 bits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from tvm import ir, tirx

from tvm_sparse import compat, sixteen
from tvm_sparse.implement import Implementation


def stored(bound: Implementation, name: str) -> Implementation:
    """Return an implementation whose weights are stored as ``bfloat16`` or ``float16``.

    Raises
    ------
    ModelError
        If a weight is too large for float16.
    """
    func, constants = bound.func, list(bound.constants)
    for number, array in enumerate(constants):
        if array.dtype == np.float32:
            constants[number] = sixteen.stored(array, name)
            func = _retyped(func, number + 1, str(constants[number].dtype))
    return replace(bound, func=func, constants=tuple(constants))


def _retyped(func: tirx.PrimFunc, number: int, dtype: str) -> tirx.PrimFunc:
    """Return the function with another type of a parameter's elements."""
    old = func.params[number]
    new = tirx.decl_buffer(old.ty.shape, dtype, old.name, layout=old.ty.layout)

    def widened(load: Any) -> Any:
        return _widened(new, load.indices) if load.source.same_as(old) else load

    body = compat.substitute(compat.rewrite(func.body, ir.TensorLoad, widened), {old: new})
    params = [new if param.same_as(old) else param for param in func.params]
    return tirx.PrimFunc(params, body, func.ret_type, func.attrs, func.span)


def _widened(buffer: tirx.Buffer, indices: Any) -> Any:
    load = tirx.BufferLoad(buffer, list(indices))
    if str(load.ty.dtype) == "float16":
        return tirx.Cast("float32", load)
    bits = tirx.shift_left(tirx.Cast("uint32", load), tirx.const(16, "uint32"))
    return tirx.reinterpret("float32", bits)
