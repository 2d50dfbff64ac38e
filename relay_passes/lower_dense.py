"""Lower the layers that are left to our dense algorithms: TVM has no CPU schedules for them.

Before::

    y = R.nn.conv2d(x, w, ...)
    z = R.nn.max_pool2d(y, ...)

After::

    y = R.call_tir(dense_conv2d, (x, panels, offset), out_ty=...)
    z = R.call_tir(max_pool, (y, offset), out_ty=...)
"""

from __future__ import annotations

import functools

import tvm
from tvm import relax

from tvm_sparse import halves, implement, kernel
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import emit, expr, layers, scope
from tvm_sparse.targets import Target


@tvm.transform.module_pass(opt_level=0, name="LowerDense")
class LowerDense(scope.ForTarget):
    """Replace convolutions, linear layers and pooling by our dense kernels.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.
    """

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function."""
        target = self.target
        return expr.rebind(mod, lambda uses: _changes(uses, target))


def _changes(uses: expr.Uses, target: Target) -> dict[relax.Var, expr.Change]:
    changes: dict[relax.Var, expr.Change] = {}
    for var, call in uses.values.items():
        name = expr.op_name(call)
        if name in layers.POOLS:
            window = layers.window_of(call, target.has_halves)
            if window is not None:
                changes[var] = functools.partial(_pool, window=window, target=target)
        elif name in (layers.CONV, layers.LINEAR):
            value = uses.constant(call.args[1])
            layer = layers.layer_of(call, value, var.name, target.has_halves)
            if isinstance(layer, Layer):
                best = kernel.dense(layer, halves.unit(layer, target))
                bound = implement.dense(layer, best, layers.weight_of(layer, value))
                changes[var] = functools.partial(
                    emit.layer_call, layer=layer, tile=best.tile, bound=halves.typed(bound, layer)
                )
    return changes


def _pool(
    call: relax.Call, builder: relax.BlockBuilder, window: Layer, target: Target
) -> relax.Expr:
    best = kernel.by_channels(window, halves.unit(window, target))
    if expr.op_name(call) == "relax.nn.max_pool2d":
        bound = implement.max_pool(window, best)
    else:
        bound = implement.average_pool(window, best, layers.shares_of(call, window))
    bound = halves.typed(bound, window)
    args = [call.args[0], *emit.constants(bound)]
    return emit.kernel_call(builder, bound.func, bound.name, args, call.ty)
