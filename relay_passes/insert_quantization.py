"""Quantize a float model: its tensors and weights become bytes between float operators.

Before::

    y = R.nn.conv2d(x, w, ...)

After, with the bytes of x and a scale for each filter of w::

    xq = R.quantize(x, 0.1, 3, out_dtype="uint8")
    xf = R.dequantize(xq, 0.1, 3)
    y  = R.nn.conv2d(xf, R.dequantize(wq, scale, 0, axis=0), ...)
    z  = R.add(y, correction)

Whatever else reads x reads xf from there on. That is the form of quantized ONNX models too;
`tvm_sparse.relay_passes.fold_quantization` computes it with integers. The correction undoes the
mean of what rounding the weights changes (Nagel et al., "Data-Free Quantization Through Weight
Equalization and Bias Correction", ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.relax import PyExprMutator, expr_functor

from tvm_sparse.integer import Bytes
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import expr, record
from tvm_sparse.relay_passes.quantization_points import Points

Array = npt.NDArray[Any]
Quantized = tuple[Array, Array]  # weights as int8, filters first, and their scales


def insert(
    mod: tvm.IRModule,
    points: Points,
    given: Mapping[relax.Var, Bytes],
    weights: Mapping[relax.Var, Quantized],
    corrections: Mapping[relax.Var, Array],
) -> tvm.IRModule:
    """Return the module with tensors and weights quantized.

    Parameters
    ----------
    mod : IRModule
        Whose ``main`` the points were found in; without dataflow blocks.
    points : Points
    given : mapping of variable to Bytes
        What the bytes of each tensor stand for.
    weights : mapping of variable to (array, array)
        The weights of each layer as int8, filters first, and a scale a filter.
    corrections : mapping of variable to array
        What to add to the sums of each filter.
    """
    names = record.names(mod)

    def make(mod: tvm.IRModule, func: relax.Function) -> PyExprMutator:
        changes = {
            var: _layer(layer, weights[var], corrections.get(var), f"{var.name}_sums")
            for var, layer in points.layers.items()
        }
        return _Inserter(mod, changes, given, set(func.params))

    mod = expr.rewrite_functions(mod, make)
    sums = {f"{var.name}_sums": names.get(var.name, var.name) for var in points.layers}
    return record.with_names(mod, {**names, **sums})


@expr_functor.mutator
class _Inserter(expr.Rebind._cls):  # type: ignore[name-defined]
    """Quantizes tensors as soon as they are known; whatever follows reads their bytes."""

    def __init__(
        self,
        mod: tvm.IRModule,
        changes: dict[relax.Var, expr.Change],
        given: Mapping[relax.Var, Bytes],
        params: set[relax.Var],
    ) -> None:
        super().__init__(mod, changes)
        self.given, self.params = given, params

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        """Quantize inputs of the function before they are read first, others once computed."""
        reads = binding.value.args if isinstance(binding.value, relax.Call) else []
        for var in (arg for arg in reads if isinstance(arg, relax.Var) and arg in self.params):
            self.params.remove(var)
            self._quantize(var, var)
        super().visit_var_binding_(binding)
        self._quantize(binding.var, self.visit_expr(binding.var))

    def _quantize(self, var: relax.Var, value: relax.Expr) -> None:
        if var not in self.given:
            return
        known = self.given[var]
        signed = known.zero == 128
        dtype, zero = ("int8", 0) if signed else ("uint8", known.zero)
        scale = expr.const(np.asarray(known.scale, np.float32))
        point = expr.const(np.asarray(zero, dtype))
        steps = self.builder_.emit(relax.op.quantize(value, scale, point, 0, dtype))
        back = self.builder_.emit(relax.op.dequantize(steps, scale, point, 0))
        self.set_var_remap(var, back)


def _layer(layer: Layer, weight: Quantized, correction: Array | None, name: str) -> expr.Change:
    """Return the change of a layer's weight; its sums get a name if something is added to them."""

    def change(call: Any, builder: relax.BlockBuilder) -> Any:
        args = [call.args[0], _weight(layer, weight, builder)]
        y = relax.Call(call.op, args, call.attrs, call.ty_args)
        if correction is None:
            return y
        along = (-1, 1, 1) if layer.op == "conv2d" else (-1,)
        added = expr.const(correction.reshape(along).astype(np.float32))
        return relax.op.add(builder.emit(y, name), added)

    return change


def _weight(layer: Layer, weight: Quantized, builder: relax.BlockBuilder) -> relax.Expr:
    """Emit a weight as a layer reads it."""
    value, scale = weight
    axis = 0
    if layer.op == "linear":
        value, axis = value.T, 1
    zero = expr.const(np.zeros((), np.int8))
    scales = expr.const(scale.astype(np.float32))
    return builder.emit(relax.op.dequantize(expr.const(value), scales, zero, axis))
