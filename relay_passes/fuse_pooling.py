"""Pool a dense convolution's sums before they are stored; its epilogue follows.

Before::

    y = R.nn.conv2d(x, w, ...)                 # (1, 64, 112, 112)
    z = R.nn.relu(R.add(y, b))
    p = R.nn.max_pool2d(z, ...)

After::

    y = R.call_tir(dense_conv2d_max_pool, (x, panels, offset), ...)     # (1, 64, 56, 56)
    p = R.nn.relu(R.add(y, b))

That is the same to the last bit: a bias and these activations never fall where their operand
grows, so that the largest comes of the largest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tvm
from tvm import relax

from tvm_sparse import implement, pooled_kernel
from tvm_sparse.implement import Implementation
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import emit, expr, layers, scope
from tvm_sparse.relay_passes.elementwise import CLIP, varies_along
from tvm_sparse.targets import Target

_RISING = ("relax.nn.relu", CLIP)


@tvm.transform.module_pass(opt_level=0, name="FusePooling")
class FusePooling(scope.ForTarget):
    """Compute dense convolutions and the max pooling after them in one kernel, where it pays.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.
    """

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function, and drop the convolutions that nobody reads any more."""
        target = self.target
        mod = expr.rebind(mod, lambda uses: _changes(uses, target))
        return relax.transform.DeadCodeElimination()(mod)


def _changes(uses: expr.Uses, target: Target) -> dict[relax.Var, expr.Change]:
    changes: dict[relax.Var, expr.Change] = {}
    for var, call in uses.values.items():
        bound = _fused(uses, call, target) if expr.op_name(call) == layers.POOLS[0] else None
        if bound is not None:
            changes[var] = functools.partial(_pool_first, bound=bound)
    return changes


def taken(uses: expr.Uses, target: Target) -> set[relax.Var]:
    """Return the convolutions, by the variables they are bound to, that pooling would take."""
    pools = [call for call in uses.values.values() if expr.op_name(call) == layers.POOLS[0]]
    found = (_pair(uses, pool, target) for pool in pools)
    return {pair[0] for pair in found if pair is not None}


def _fused(uses: expr.Uses, pool: relax.Call, target: Target) -> Implementation | None:
    """Return the kernel of a pooling call and the convolution it pools, or None."""
    pair = _pair(uses, pool, target)
    if pair is None:
        return None
    conv, layer, window, best = pair
    weight = layers.weight_of(layer, uses.constant(uses.value(conv).args[1]))
    return implement.dense(layer, best, weight, window)


def _pair(
    uses: expr.Uses, pool: relax.Call, target: Target
) -> tuple[relax.Var, Layer, Layer, Kernel] | None:
    """Return the convolution that a call pools: its variable, layer, window and kernel."""
    below = pool.args[0]
    while uses.read_once(below) and _rises(uses.value(below), uses.constant):
        call = uses.value(below)
        below = call.args[_data(call, uses.constant)]
    conv = uses.value(below)
    if not uses.read_once(below) or expr.op_name(conv) != layers.CONV:
        return None
    window = layers.window_of(pool)
    layer = layers.layer_of(conv, uses.constant(conv.args[1]), below.name)
    if window is None or not isinstance(layer, Layer):
        return None
    best = pooled_kernel.best(layer, window, target)
    return None if best is None else (below, layer, window, best)


def _rises(call: Any, constant: Callable[[Any], Any]) -> bool:
    """Whether a call never falls where its operand grows, at all positions of a channel alike."""
    if expr.op_name(call) != "relax.add":
        return expr.op_name(call) in _RISING
    known = [value for value in map(constant, call.args) if value is not None]
    return len(known) == 1 and varies_along(known[0], 1, 4)


def _data(call: relax.Call, constant: Callable[[Any], Any]) -> int:
    """Return which argument is the tensor that a call computes on."""
    return next(i for i, arg in enumerate(call.args) if constant(arg) is None)


def _pool_first(pool: relax.Call, builder: relax.BlockBuilder, bound: Implementation) -> relax.Expr:
    """Return the kernel's call, and after it what stood between convolution and pooling."""
    constant = functools.partial(expr.constant, builder)
    steps: list[relax.Call] = []
    call = expr.definition(builder, pool.args[0])
    while expr.op_name(call) != layers.CONV:
        steps.append(call)
        call = expr.definition(builder, call.args[_data(call, constant)])
    args = [call.args[0], *emit.constants(bound)]
    pooled = emit.kernel_call(builder, bound.func, bound.name, args, pool.ty)
    for step in reversed(steps):
        operands = list(step.args)
        operands[_data(step, constant)] = builder.emit(pooled)
        pooled = relax.Call(step.op, operands, step.attrs, step.ty_args)
    return pooled
