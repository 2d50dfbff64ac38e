"""Give the weights of neighbouring layers the same range in every channel between them.

Before, with one channel of small weights that are followed by large ones::

    y = R.nn.relu(R.add(R.nn.conv2d(x, w), b))
    z = R.nn.conv2d(y, v)

After, with a factor ``s`` for each channel of y, and the same z::

    y = R.nn.relu(R.add(R.nn.conv2d(x, w / s), b / s))
    z = R.nn.conv2d(y, v · s)

Steps of bytes then suit all channels alike, which matters most where a tensor of weights has one
scale, and to activations. ``s = sqrt(range of w / range of v)``, over all pairs of layers until
nothing changes (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", ICCV 2019, section 4.1; without its absorption of biases). Zeros stay zeros.

Only what keeps factors may stand between: ReLU, pooling, views, a bias. ReLU6 and other clipping do
not; such pairs are left as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import expr, layers
from tvm_sparse.relay_passes.elementwise import varies_along

Array = npt.NDArray[Any]
_ROUNDS = 20
_ENOUGH = 1e-3  # of relative change, from which on nothing is to be gained
_KEEP = ("relax.nn.relu", "relax.nn.leakyrelu", *layers.POOLS)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two layers with nothing but factors between them.

    Parameters
    ----------
    first, second : relax.Var
        What their sums are bound to.
    biases : tuple of relax.Var
        The additions of constants to the first.
    repeat : int
        Inputs of the second layer that are one channel of the first; more than 1 where a linear
        layer reads a flattened image.
    """

    first: relax.Var
    second: relax.Var
    biases: tuple[relax.Var, ...]
    repeat: int


@tvm.transform.module_pass(opt_level=0, name="EqualizeLayers")
class EqualizeLayers:
    """Scale the channels between layers of constant weights; the function stays the same."""

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function, which must be simplified."""
        return expr.rebind(mod, _changes)


def _changes(uses: expr.Uses) -> dict[relax.Var, expr.Change]:
    known = dict(_layers(uses))
    pairs = [pair for var in known for pair in _pair(uses, known, var)]
    weights = {var: weight.astype(np.float64) for var, (_, weight) in known.items()}
    before = dict(weights)
    scales = {pair: np.ones(len(weights[pair.first])) for pair in pairs}
    for _ in range(_ROUNDS):
        changed = [_equalize(pair, known, weights, scales) for pair in pairs]
        if max(changed, default=0.0) < _ENOUGH:
            break
    changes: dict[relax.Var, expr.Change] = {}
    for var, (layer, _) in known.items():
        if weights[var] is not before[var]:
            changes[var] = _with_weight(layer, weights[var])
    for pair in pairs:
        changes |= {var: _with_bias(uses, var, scales[pair], pair) for var in pair.biases}
    return changes


def _layers(uses: expr.Uses) -> list[tuple[relax.Var, tuple[Layer, Array]]]:
    """Return the layers of constant weights, and these weights, filters first."""
    found = []
    for var, call in uses.values.items():
        if expr.op_name(call) in (layers.CONV, layers.LINEAR):
            value = uses.constant(call.args[1])
            layer = layers.layer_of(call, value, var.name)
            if isinstance(layer, Layer):
                found.append((var, (layer, layers.weight_of(layer, value))))
    return found


def _pair(
    uses: expr.Uses, known: dict[relax.Var, tuple[Layer, Array]], second: relax.Var
) -> list[Pair]:
    """Return the pair of a layer and the one before it, if nothing else stands there."""
    below, biases = uses.values[second].args[0], []
    while uses.read_once(below) and below not in known:
        call = uses.value(below)
        name = expr.op_name(call)
        if name == "relax.add":
            constants = [uses.constant(arg) is not None for arg in call.args]
            if sum(constants) != 1:
                return []
            biases.append(below)
            below = call.args[constants.index(False)]
        elif name in _KEEP or _keeps_channels(call):
            below = call.args[0]
        else:
            return []
    if not uses.read_once(below) or below not in known:
        return []
    return _fitting(uses, known, Pair(first=below, second=second, biases=tuple(biases), repeat=1))


def _keeps_channels(call: Any) -> bool:
    """Whether channels stay one after another: in means of images, and in some reshapes."""
    if expr.op_name(call) != "relax.reshape":
        return layers.is_global_mean(call)
    before, after = expr.shape(call.args[0]) or (), expr.shape(call) or ()
    images = len(before) == 4 and len(after) in (2, 4) and before[0] == after[0]
    if images:
        return len(after) == 2 or before[1] == after[1]
    return len(before) != 4 and len(after) != 4 and before[-1:] == after[-1:]


def _fitting(
    uses: expr.Uses, known: dict[relax.Var, tuple[Layer, Array]], pair: Pair
) -> list[Pair]:
    """Return the pair, if the channels of its layers and biases are one after another."""
    (first, _), (second, _) = known[pair.first], known[pair.second]
    repeat, left = divmod(second.channels, first.filters)
    shape = expr.shape(pair.first) or ()
    axis = 1 if first.op == "conv2d" else len(shape) - 1
    for var in pair.biases:
        bias = next(v for v in map(uses.constant, uses.values[var].args) if v is not None)
        if expr.shape(var) != shape or not varies_along(bias, axis, len(shape)):
            return []
    same = first.op == second.op or (first.op == "conv2d" and second.op == "linear")
    if left or not same or (repeat > 1 and second.op != "linear"):
        return []
    if first.op != second.op and len(expr.shape(uses.values[pair.second].args[0]) or ()) != 2:
        return []
    return [Pair(first=pair.first, second=pair.second, biases=pair.biases, repeat=repeat)]


def _equalize(
    pair: Pair,
    known: dict[relax.Var, tuple[Layer, Array]],
    weights: dict[relax.Var, Array],
    scales: dict[Pair, Array],
) -> float:
    """Scale the channels between two layers; return the largest relative change."""
    first, second = weights[pair.first], weights[pair.second]
    groups = known[pair.second][0].groups
    channels = second.reshape(groups, len(second) // groups, second.shape[1], -1)
    largest = np.abs(channels).max(axis=(1, 3)).reshape(-1, pair.repeat).max(axis=1)
    before = np.abs(first).reshape(len(first), -1).max(axis=1)
    alive = (largest > 0) & (before > 0)
    factor = np.sqrt(np.where(alive, before, 1.0) / np.where(alive, largest, 1.0))
    weights[pair.first] = first / factor.reshape(-1, *[1] * (first.ndim - 1))
    each = np.repeat(factor, pair.repeat).reshape(groups, 1, second.shape[1], 1)
    weights[pair.second] = (channels * each).reshape(second.shape)
    scales[pair] = scales[pair] * factor
    return float(np.abs(factor - 1).max(initial=0.0))


def _with_weight(layer: Layer, weight: Array) -> expr.Change:
    value = (weight.T if layer.op == "linear" else weight).astype(np.float32)

    def change(call: Any, builder: relax.BlockBuilder) -> Any:
        return relax.Call(call.op, [call.args[0], expr.const(value)], call.attrs, call.ty_args)

    return change


def _with_bias(uses: expr.Uses, var: relax.Var, scale: Array, pair: Pair) -> expr.Change:
    images = len(expr.shape(pair.first) or ()) == 4
    along = scale.reshape(-1, 1, 1) if images else scale

    def change(call: Any, builder: relax.BlockBuilder) -> Any:
        args = list(call.args)
        known = [uses.constant(arg) for arg in uses.values[var].args]
        at, value = next((i, value) for i, value in enumerate(known) if value is not None)
        args[at] = expr.const((value / along).astype(np.float32))
        return relax.Call(call.op, args, call.attrs, call.ty_args)

    return change
