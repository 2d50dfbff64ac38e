"""Fold inference batch normalization into the convolution or linear layer before it.

Before::

    y  = R.nn.conv2d(x, w)
    z  = R.add(y, b)                                        # optional
    bn = R.nn.batch_norm(z, gamma, beta, mean, variance)
    n  = bn[0]

After, with s = gamma / sqrt(variance + epsilon)::

    y = R.nn.conv2d(x, w * s)
    n = R.add(y, beta + (b - mean) * s)

A filter's weights are scaled together, so zeros stay zeros. A normalization without a foldable
layer before it becomes one multiplication and one addition. TVM's `FoldBatchnormToConv2D` leaves
the arithmetic in the graph, and does not look through a bias.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from tvm_sparse.relay_passes import expr

Array = npt.NDArray[Any]


@tvm.transform.module_pass(opt_level=0, name="FoldBatchNorm")
class FoldBatchNorm:
    """Fold every batch normalization whose statistics are constants."""

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function, and drop what the folding made dead."""
        mod = expr.rewrite_functions(
            mod, lambda mod, func: expr.Rebind(mod, _changes(expr.Uses(func)))
        )
        return relax.transform.DeadCodeElimination()(mod)


def _changes(uses: expr.Uses) -> dict[relax.Var, expr.Change]:
    changes: dict[relax.Var, expr.Change] = {}
    for var, item in uses.values.items():
        norm = uses.value(item.tuple_value) if isinstance(item, relax.TupleGetItem) else None
        if norm is None or expr.op_name(norm) != "relax.nn.batch_norm" or item.index != 0:
            continue
        statistics = [uses.constant(arg) for arg in norm.args[1:]]
        if any(value is None for value in statistics) or norm.attrs.training:
            continue
        gamma, beta, mean, variance = statistics
        scale = gamma / np.sqrt(variance + norm.attrs.epsilon)
        _fold(uses, changes, var, norm, scale, beta - mean * scale)
    return changes


def _fold(
    uses: expr.Uses,
    changes: dict[relax.Var, expr.Change],
    var: relax.Var,
    norm: relax.Call,
    scale: Array,
    shift: Array,
) -> None:
    """Plan the rewriting of one normalization to ``x * scale + shift``."""
    wide = [1] * len(expr.shape(norm.args[0]) or ())
    wide[int(norm.attrs.axis)] = -1

    def across(values: Array) -> relax.Expr:
        return expr.const(values.reshape(wide).astype("float32"))

    layer, add, bias = _below(uses, norm.args[0])
    if layer is None:
        changes[var] = lambda item, builder: relax.op.add(
            builder.emit(relax.op.multiply(_input(item, builder), across(scale))),
            across(shift),
        )
        return
    weight = uses.constant(uses.value(layer).args[1])
    assert weight is not None  # `_below` returns layers of constant weight
    changes[layer] = lambda call, _: _scaled(call, weight, scale)
    if add is None:
        changes[var] = lambda item, builder: relax.op.add(_input(item, builder), across(shift))
        return
    offset = shift + bias.reshape(-1) * scale
    changes[add] = lambda call, _: relax.op.add(_other(call, uses), across(offset))
    changes[var] = lambda item, builder: _input(item, builder)


def _input(item: relax.TupleGetItem, builder: relax.BlockBuilder) -> relax.Expr:
    """Return the tensor that a batch normalization normalizes."""
    return builder.lookup_binding(item.tuple_value).args[0]


def _below(uses: expr.Uses, x: relax.Expr) -> tuple[Any, Any, Any]:
    """Return the layer that only x reads, and the variable and value of a bias between them."""
    if _is_layer(uses, x):
        return x, None, None
    add = uses.value(x)
    if expr.op_name(add) == "relax.add" and uses.read_once(x):
        for y, b in (tuple(add.args), tuple(add.args)[::-1]):
            bias = uses.constant(b)
            if bias is not None and _is_layer(uses, y) and bias.size == max(bias.shape, default=0):
                return y, x, bias
    return None, None, None


def _is_layer(uses: expr.Uses, x: relax.Expr) -> bool:
    call = uses.value(x)
    if expr.op_name(call) not in {"relax.nn.conv2d", "relax.matmul"} or not uses.read_once(x):
        return False
    weight = uses.constant(call.args[1])
    if weight is None or expr.op_name(call) == "relax.matmul":
        return weight is not None and weight.ndim == 2
    return str(call.attrs.data_layout) == "NCHW" and str(call.attrs.kernel_layout) == "OIHW"


def _scaled(call: relax.Call, weight: Array, scale: Array) -> relax.Call:
    along = (-1, 1, 1, 1) if expr.op_name(call) == "relax.nn.conv2d" else (1, -1)
    folded = expr.const((weight * scale.reshape(along)).astype("float32"))
    return relax.Call(call.op, [call.args[0], folded], call.attrs, call.ty_args)


def _other(add: relax.Call, uses: expr.Uses) -> relax.Expr:
    """Return the operand of an addition that is not constant."""
    left, right = add.args
    return right if uses.constant(left) is not None else left
