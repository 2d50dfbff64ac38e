"""Evaluate what depends on constants alone, with numpy.

Before::

    w1 = R.permute_dims(w, axes=[1, 0])          # w, mask: constants
    w2 = R.multiply(v, mask)

After::

    w1 = const                                    # transposed
    w2 = const                                    # masked

TVM's own `FoldConstant` compiles every such operator; for the few that exporters leave behind,
numpy is immediate. Operators that are not listed here are left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax import PyExprMutator, expr_functor

from tvm_sparse.relay_passes import expr

_BINARY: dict[str, Callable[..., Any]] = {
    "relax.add": np.add,
    "relax.subtract": np.subtract,
    "relax.multiply": np.multiply,
    "relax.divide": np.divide,
    "relax.maximum": np.maximum,
    "relax.minimum": np.minimum,
}
_UNARY: dict[str, Callable[..., Any]] = {
    "relax.sqrt": np.sqrt,
    "relax.rsqrt": lambda x: 1 / np.sqrt(x),
    "relax.negative": np.negative,
    "relax.abs": np.abs,
    "relax.exp": np.exp,
    "relax.isnan": np.isnan,
    "relax.astype": np.asarray,  # all results get the type of their call
}
_RESHAPE = {"relax.reshape", "relax.squeeze", "relax.expand_dims", "relax.flatten"}


@tvm.transform.module_pass(opt_level=0, name="FoldConstants")
class FoldConstants:
    """Replace operators on constants by their value."""

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function."""
        return expr.rewrite_functions(mod, lambda mod, func: _Folder(mod))


@expr_functor.mutator
class _Folder(PyExprMutator):
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = self.visit_expr_post_order(call)
        name = expr.op_name(call)
        if name not in _BINARY.keys() | _UNARY.keys() | _RESHAPE | {
            "relax.permute_dims",
            "relax.where",
        }:
            return call
        tensors = [a for a in call.args if not isinstance(a, relax.ShapeExpr)]
        values = [expr.constant(self.builder_, arg) for arg in tensors]
        if any(value is None for value in values):
            return call
        result = _evaluate(call, name, values)
        with np.errstate(over="ignore"):
            return expr.const(np.asarray(result, dtype=str(call.ty.dtype)))


def _evaluate(call: relax.Call, name: str, values: list[Any]) -> Any:
    if name in _BINARY:
        return _BINARY[name](*values)
    if name in _UNARY:
        return _UNARY[name](*values)
    if name in _RESHAPE:
        return values[0].reshape(expr.shape(call))
    if name == "relax.where":
        return np.where(*values)
    axes = call.attrs.axes
    return values[0].transpose(None if axes is None else [int(axis) for axis in axes])
