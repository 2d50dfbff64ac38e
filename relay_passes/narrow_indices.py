"""Compute indices in 32 bits: many GPUs have no 64-bit integers, none has fast ones.

Before::

    for k in range(T.Cast("int64", ptr[b + 1]) - T.Cast("int64", ptr[b])): ...

After::

    for k in range(ptr[b + 1] - ptr[b]): ...

Functions that read or write 64-bit integers, or tensors of 2³¹ elements, keep theirs.
"""

from __future__ import annotations

import math

import tvm
from tvm import tirx

_MOST = 1 << 31


@tvm.transform.module_pass(opt_level=0, name="NarrowIndices")
class NarrowIndices:
    """Narrow the indices of every TIR function that allows it."""

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the TIR functions."""
        chosen = {var: func for var, func in mod.functions_items() if _allows(func)}
        narrow = tirx.transform.ForceNarrowIndexToInt32()(tvm.IRModule(chosen))
        changed = mod.clone()
        for var in chosen:
            changed.update_func(var, narrow[var.name_hint])
        return changed


def _allows(func: object) -> bool:
    if not isinstance(func, tirx.PrimFunc):
        return False
    buffers = [param for param in func.params if isinstance(param, tirx.Buffer)]
    buffers += list(getattr(func, "buffer_map", {}).values())
    wide = any("64" in str(buffer.dtype) for buffer in buffers)
    sizes = [list(buffer.shape) for buffer in buffers]
    fixed = all(isinstance(size, tirx.IntImm) for shape in sizes for size in shape)
    return not wide and fixed and all(math.prod(map(int, shape)) < _MOST for shape in sizes)
