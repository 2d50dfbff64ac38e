"""A layer as TVM computes it, every weight multiplied, as a kernel by itself."""

from __future__ import annotations

import numpy as np
from tvm import relax, tirx

from tvm_sparse.formats.protocol import Weight
from tvm_sparse.implement import Implementation
from tvm_sparse.layer import Layer


def implement(layer: Layer, weight: Weight) -> Implementation:
    """Return TVM's operator for a layer, for its own schedules, and that of `schedules.outputs`."""
    values = np.ascontiguousarray(weight.T if layer.op == "linear" else weight)
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(_input(layer), layer.dtype))
    w = relax.Var("w", relax.TensorType(values.shape, layer.dtype))
    with builder.function("main", [x, w]):
        builder.emit_func_output(builder.emit(_operator(layer, x, w)))
    mod = relax.transform.LegalizeOps()(builder.get())
    (func,) = (func for _, func in mod.functions_items() if isinstance(func, tirx.PrimFunc))
    name = "matmul" if layer.op == "linear" else "conv2d"
    return Implementation(func=func, name=name, constants=(values,))


def _input(layer: Layer) -> tuple[int, ...]:
    if layer.op == "linear":
        return (*layer.input, layer.channels)
    return (layer.input[0], layer.channels, *layer.input[1:])


def _operator(layer: Layer, x: relax.Var, w: relax.Var) -> relax.Expr:
    if layer.op == "linear":
        return relax.op.matmul(x, w)
    return relax.op.nn.conv2d(
        x,
        w,
        strides=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
    )
