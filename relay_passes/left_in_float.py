"""Say which operators between quantized tensors are computed in float."""

from __future__ import annotations

from collections import Counter
from typing import Any

import tvm
from tvm import relax

from tvm_sparse.relay_passes import expr, quantized

_VIEWS = ("relax.reshape", "relax.permute_dims")
_OURS = "dequantize"  # what our kernels that give floats are called


def left_in_float(mod: tvm.IRModule) -> str:
    """Return a sentence on the operators that read dequantized tensors, empty if there are none.

    Parameters
    ----------
    mod : IRModule
        After `tvm_sparse.relay_passes.fold_quantization`.
    """
    names: Counter[str] = Counter()
    for _, func in mod.functions_items():
        if isinstance(func, relax.Function):
            names += _readers(expr.Uses(func).values)
    if not names:
        return ""
    told = [name if number == 1 else f"{number} × {name}" for name, number in names.items()]
    return f"computed in float, from quantized tensors: {', '.join(told)}"


def _readers(values: dict[relax.Var, Any]) -> Counter[str]:
    floats: set[relax.Var] = set()
    names: Counter[str] = Counter()
    for var, value in values.items():
        name = expr.op_name(value)
        args = list(value.args) if isinstance(value, relax.Call) else []
        args += list(value.fields) if isinstance(value, relax.Tuple) else []
        args += [value] if isinstance(value, relax.Var) else []
        if name == "relax.call_tir" and args[0].name_hint.startswith(_OURS):
            floats.add(var)
        elif name == quantized.DEQUANTIZE:
            floats.add(var)
        elif any(isinstance(arg, relax.Var) and arg in floats for arg in args):
            if name in _VIEWS or not isinstance(value, relax.Call):
                floats.add(var)
            elif name and name != "relax.call_tir":
                names[name.removeprefix("relax.").removeprefix("nn.")] += 1
    return names
