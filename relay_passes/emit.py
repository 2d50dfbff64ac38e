"""Emit calls of our algorithms into a Relax function."""

from __future__ import annotations

from tvm import relax, tirx

from tvm_sparse.implement import Implementation
from tvm_sparse.kernel import Cuts
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import expr
from tvm_sparse.tile import PanelTile


def layer_call(
    call: relax.Call,
    builder: relax.BlockBuilder,
    layer: Layer,
    tile: Cuts,
    bound: Implementation,
) -> relax.Expr:
    """Return what replaces a call of a convolution or linear layer.

    A linear layer whose rows stand in vector lanes works on transposed matrices::

        y = R.matmul(x, w)    →    reshape → permute_dims → kernel → permute_dims → reshape
    """
    x = call.args[0]
    if layer.op == "conv2d" or isinstance(tile, PanelTile):
        return kernel_call(builder, bound.func, bound.name, [x, *constants(bound)], call.ty)
    rows, channels, filters = layer.positions, layer.channels, layer.filters
    if len(layer.input) > 1:
        x = builder.emit(relax.op.reshape(x, (rows, channels)))
    x = builder.emit(relax.op.permute_dims(x))
    kind = relax.TensorType((filters, rows), call.ty.dtype)
    y = builder.emit(kernel_call(builder, bound.func, bound.name, [x, *constants(bound)], kind))
    y = relax.op.permute_dims(y)
    if len(layer.input) > 1:
        y = relax.op.reshape(builder.emit(y), (*layer.input, filters))
    return y


def constants(bound: Implementation) -> list[relax.Expr]:
    """Return an implementation's arrays as Relax constants."""
    return [expr.const(array) for array in bound.constants]


def kernel_call(
    builder: relax.BlockBuilder,
    func: tirx.PrimFunc,
    name: str,
    args: list[relax.Expr],
    kind: relax.TensorType,
) -> relax.Call:
    """Return a call of a TIR function, added to the module under a name like `name`."""
    out = relax.TensorType(kind.shape, kind.dtype)
    return relax.call_tir(builder.add_func(func, name), args, out_ty=out)
