"""Turn a module with named parameters into one with named layers and constant weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.relax import PyExprMutator, expr_functor

from tvm_sparse.errors import ModelError
from tvm_sparse.relay_passes import expr, record

Array = npt.NDArray[Any]
_LAYERS = {"relax.nn.conv1d", "relax.nn.conv2d", "relax.matmul"}


def bind(
    mod: tvm.IRModule,
    values: Mapping[str, Array],
    names: Mapping[str, str],
    masks: Mapping[str, Any] | None,
) -> tvm.IRModule:
    """Return the module with parameters replaced by constants.

    Parameters
    ----------
    mod : IRModule
        With a function ``main`` that takes inputs, then parameters.
    values : mapping of str to array
        The value of each parameter, by the name of its variable.
    names : mapping of str to str
        What the user calls each parameter, e.g. ``layer1.0.conv1.weight``.
    masks : mapping of str to array, optional
        See `import_model`.
    """
    check_static(mod)
    values = _masked(dict(values), names, masks or {})
    for variable, value in values.items():
        check_finite(value, names.get(variable, variable))
    return relax.transform.BindParams("main", values)(name_layers(mod, names))


def check_static(mod: tvm.IRModule) -> None:
    """Raise a ModelError if an input has a dynamic shape."""
    for param in mod["main"].params:
        if isinstance(param.ty, relax.TensorType) and expr.shape(param) is None:
            raise ModelError(
                f"input {param.name!r} has the dynamic shape {param.ty.shape}: kernels are "
                "compiled for one size; export the model with fixed shapes, or pass example_inputs"
            )


def check_finite(value: Array, name: str) -> None:
    """Raise a ModelError if an array holds NaN or infinity."""
    if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
        bad = int((~np.isfinite(value)).sum())
        raise ModelError(
            f"{name} holds {bad} NaN or infinite value{'s' * (bad > 1)} among {value.size}; "
            "mend the checkpoint before compiling it"
        )


def layer_name(parameter: str) -> str:
    """Return the layer that a parameter belongs to: ``fc`` for ``fc.weight``."""
    for ending in (".weight", ".weight_orig", "_weight"):
        parameter = parameter.removesuffix(ending)
    return parameter


def name_layers(mod: tvm.IRModule, names: Mapping[str, str]) -> tvm.IRModule:
    """Name the variables that layers are bound to after the parameters that they read.

    Relax has no dots in names, so the module also carries what the user calls each of them. A
    layer that the model calls twice is told apart by a number.
    """
    named: dict[str, str] = {}

    def make(mod: tvm.IRModule, func: relax.Function) -> PyExprMutator:
        uses, renamed = expr.Uses(func), {}
        for var, call in uses.values.items():
            if expr.op_name(call) in _LAYERS:
                parameter = _parameter(uses, call.args[1], names)
                renamed[var] = layer_name(parameter) if parameter else var.name
        return _Renamer(mod, renamed, named)

    return record.with_names(expr.rewrite_functions(mod, make), named)


def _parameter(uses: expr.Uses, weight: Any, names: Mapping[str, str]) -> str | None:
    """Return the first parameter, or other variable with a name, that a weight is computed from."""
    if isinstance(weight, relax.Var) and weight.name in names:
        return names[weight.name]
    found = uses.value(weight)
    if isinstance(found, relax.Var):
        return names.get(found.name)
    if isinstance(found, relax.Call):
        for arg in found.args:
            name = _parameter(uses, arg, names)
            if name is not None:
                return name
    return None


@expr_functor.mutator
class _Renamer(PyExprMutator):
    def __init__(
        self, mod: tvm.IRModule, names: dict[relax.Var, str], named: dict[str, str]
    ) -> None:
        super().__init__(mod)
        self.names = names
        self.named = named

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        name = self.names.get(binding.var)
        if name is None:
            super().visit_var_binding_(binding)
            return
        value = self.visit_expr(binding.value)
        output = not isinstance(binding.var, relax.DataflowVar)
        emit = self.builder_.emit_output if output else self.builder_.emit
        var = emit(value, name)
        calls = sum(other.split("#")[0] == name for other in self.named.values())
        self.named[var.name] = f"{name}#{calls + 1}" if calls else name
        self.set_var_remap(binding.var, var)


def _masked(
    values: dict[str, Array], names: Mapping[str, str], masks: Mapping[str, Any]
) -> dict[str, Array]:
    by_name = {names.get(variable, variable): variable for variable in values}
    by_name |= {
        layer_name(name): variable
        for name, variable in by_name.items()
        if values[variable].ndim > 1
    }
    for name, mask in masks.items():
        if name not in by_name:
            known = ", ".join(sorted({layer_name(n) for n in by_name})[:8])
            raise ModelError(f"there is a mask for {name!r}, but no such layer; layers: {known}, …")
        variable = by_name[name]
        keep = np.asarray(mask) != 0
        if keep.shape != values[variable].shape:
            raise ModelError(
                f"the mask of {name!r} must have its weight's shape "
                f"{values[variable].shape}, got {keep.shape}"
            )
        values[variable] = np.where(keep, values[variable], 0).astype(values[variable].dtype)
    return values
