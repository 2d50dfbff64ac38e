"""Accept Relax modules as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relax

from tvm_sparse.errors import ModelError
from tvm_sparse.frontend.bind import bind, check_finite, check_static
from tvm_sparse.relay_passes import expr, record


def from_relax(mod: tvm.IRModule, masks: Mapping[str, Any] | None) -> tvm.IRModule:
    """Return a Relax module whose parameters, if it carries any, are bound to constants.

    Raises
    ------
    ModelError
        If it has no function ``main``, dynamic shapes, or NaN or infinite weights.
    """
    if "main" not in {var.name_hint for var in mod.get_global_vars()}:
        raise ModelError('expected a Relax module with a function "main"')
    if not isinstance(mod["main"], relax.Function):
        raise ModelError('"main" must be a Relax function, got a TIR function')
    named, noted, precisions = record.names(mod), record.read(mod), record.precisions(mod)
    mod, params = relax.frontend.detach_params(mod)
    tensors = params.get("main", [])
    variables = mod["main"].params[len(mod["main"].params) - len(tensors) :]
    values = {var.name: tensor.numpy() for var, tensor in zip(variables, tensors, strict=True)}
    if values or masks:
        return bind(mod, values, {name: name for name in values}, masks)
    check_static(mod)
    if named or precisions:  # checked when it was imported; what was folded may hold infinities
        mod = record.write(record.with_names(mod, named), noted)
        return record.with_precisions(mod, precisions) if precisions else mod
    for var, call in expr.Uses(mod["main"]).values.items():
        for arg in call.args if isinstance(call, relax.Call) else ():
            if hasattr(arg, "value") and hasattr(arg.value, "numpy"):
                check_finite(arg.value.numpy(), f"a constant of {var.name}")
    return mod
