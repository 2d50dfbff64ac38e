"""Emit calls of our algorithms into a Relax function."""

from __future__ import annotations

from tvm import relax, tirx

from tvm_sparse.algorithms.transpose import transpose
from tvm_sparse.implement import Implementation
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import expr
from tvm_sparse.targets import Target
from tvm_sparse.tile import PanelTile, Tile


def layer_call(
    call: relax.Call,
    builder: relax.BlockBuilder,
    layer: Layer,
    tile: Tile | PanelTile,
    bound: Implementation,
    target: Target,
) -> relax.Expr:
    """Return what replaces a call of a convolution or linear layer.

    A linear layer whose rows stand in vector lanes works on transposed matrices::

        y = R.matmul(x, w)    →    reshape → transpose → kernel → transpose → reshape
    """
    x = call.args[0]
    if layer.op == "conv2d" or isinstance(tile, PanelTile):
        return kernel_call(builder, bound.func, bound.name, [x, *constants(bound)], call.ty)
    rows, channels, filters = layer.positions, layer.channels, layer.filters
    if len(layer.input) > 1:
        x = builder.emit(relax.op.reshape(x, (rows, channels)))
    x = builder.emit(transposed(builder, x, target.lanes))
    kind = relax.TensorType((filters, rows), "float32")
    y = builder.emit(kernel_call(builder, bound.func, bound.name, [x, *constants(bound)], kind))
    y = transposed(builder, y, target.lanes)
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


def transposed(builder: relax.BlockBuilder, x: relax.Expr, lanes: int) -> relax.Call:
    """Return a call that transposes a matrix."""
    rows, columns = expr.shape(x) or (0, 0)
    kind = relax.TensorType((columns, rows), "float32")
    return kernel_call(builder, transpose(rows, columns, lanes), "transpose", [x], kind)
