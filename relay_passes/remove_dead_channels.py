"""Really remove filters that nobody reads, and channels that are always zero.

Before::

    y = R.nn.relu(R.add(R.nn.conv2d(x, w1), b1))        # w1: (64, …); b1: (1, 64, 1, 1)
    z = R.nn.conv2d(y, w2)                              # w2: (…, 64, …)

After, if w2 is zero on 14 of the channels, or w1 on 14 filters whose channels stay zero::

    y = R.nn.relu(R.add(R.nn.conv2d(x, w1), b1))        # w1: (50, …); b1: (1, 50, 1, 1)
    z = R.nn.conv2d(y, w2)                              # w2: (…, 50, …)

Between the two layers may stand a bias, activations, pooling and depthwise convolutions, each read
by the next alone; depthwise convolutions lose the channels too. The same holds for two linear
layers. Where filters share taps in blocks, these stay whole, see
`tvm_sparse.relay_passes.whole_blocks`. Layers whose channels share scales in groups keep them all.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from tvm_sparse.layer import Layer
from tvm_sparse.nibbles import BITS
from tvm_sparse.relay_passes import expr, layers, record, whole_blocks
from tvm_sparse.relay_passes.elementwise import BINARY, on_number, varies_along

Array = npt.NDArray[Any]


@tvm.transform.module_pass(opt_level=0, name="RemoveDeadChannels")
class RemoveDeadChannels:
    """Shrink pairs of layers by the channels between them that cannot matter."""

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function, and note what was removed."""
        names, precisions = record.names(mod), record.precisions(mod)
        grouped = {name for name, one in precisions.items() if one.bits == BITS}
        while True:  # what a smaller layer no longer reads may be dead in turn
            mod, notes = _shrunk(mod, names, grouped)
            for text in notes:
                mod = record.note(mod, text)
            if not notes:
                return mod


def _shrunk(
    mod: tvm.IRModule, names: dict[str, str], grouped: set[str]
) -> tuple[tvm.IRModule, list[str]]:
    """Shrink each pair of layers once; return the module and what was removed."""
    notes: list[str] = []
    mod = expr.rewrite_functions(
        mod, lambda mod, func: expr.Rebind(mod, _changes(expr.Uses(func), names, grouped, notes))
    )
    return mod, notes


def _changes(
    uses: expr.Uses, names: dict[str, str], grouped: set[str], notes: list[str]
) -> dict[relax.Var, expr.Change]:
    changes: dict[relax.Var, expr.Change] = {}
    for var, call in uses.values.items():
        pair = None if names.get(var.name) in grouped else _pair(uses, var, call)
        if pair is not None and pair.first not in changes and not pair.kept.all():
            changes.update(_shrink(pair))
            name, dead = names.get(pair.first.name, pair.first.name), int((~pair.kept).sum())
            notes.append(f"{name}: {dead} of {len(pair.kept)} filters removed")
    return changes


@dataclass(frozen=True)
class _Pair:
    """Two layers, the operators with constants between them, and the channels that stay."""

    first: relax.Var
    second: relax.Var
    biases: tuple[relax.Var, ...]
    depthwise: tuple[relax.Var, ...]
    kept: npt.NDArray[np.bool_]


def chains(mod: tvm.IRModule) -> list[tuple[str, ...]]:
    """Return the layers whose channels go together, by name: two, and depthwise ones between."""
    uses, names = expr.Uses(mod["main"]), record.names(mod)
    found = []
    for var, call in uses.values.items():
        below = _below(uses, call)
        if below is not None:
            first, steps = below
            convs = [step for step, inner in reversed(steps) if expr.op_name(inner) == layers.CONV]
            found.append(tuple(names.get(one.name, one.name) for one in (first, *convs, var)))
    return found


def _pair(uses: expr.Uses, var: relax.Var, call: Any) -> _Pair | None:
    """Return the pair whose second layer is bound to a variable, or None."""
    below = _below(uses, call)
    if below is None:
        return None
    first, steps = below
    kept = _kept(uses, uses.values[first], [step for _, step in reversed(steps)], call)
    biases = tuple(v for v, step in steps if expr.op_name(step) in BINARY)
    depthwise = tuple(v for v, step in steps if expr.op_name(step) == layers.CONV)
    return None if kept is None else _Pair(first, var, biases, depthwise, kept)


_Steps = list[tuple[relax.Var, relax.Call]]


def _below(uses: expr.Uses, call: Any) -> tuple[relax.Var, _Steps] | None:
    """Return the layer that a layer reads, and the steps between the two, the last one first."""
    if not _is_layer(uses, call):
        return None
    steps: _Steps = []
    below = call.args[0]
    while uses.read_once(below):
        inner = uses.value(below)
        same = expr.op_name(inner) == expr.op_name(call)
        if same and not _is_depthwise(uses, inner):
            return (below, steps) if _is_layer(uses, inner) else None
        if not same and not _passes_channels(uses, inner, len(expr.shape(inner) or ())):
            return None
        steps.append((below, inner))
        below = _data(uses, inner)
    return None


def _is_layer(uses: expr.Uses, call: Any) -> bool:
    layer = _layer(uses, call)
    return layer is not None and layer.groups == 1


def _is_depthwise(uses: expr.Uses, call: Any) -> bool:
    """Whether a layer computes one channel from each."""
    layer = _layer(uses, call)
    return layer is not None and layer.depthwise and layer.groups == layer.weight[0]


def _layer(uses: expr.Uses, call: Any) -> Layer | None:
    if expr.op_name(call) not in (layers.CONV, layers.LINEAR):
        return None
    layer = layers.layer_of(call, uses.constant(call.args[1]), "")
    return None if isinstance(layer, str) else layer


def _passes_channels(uses: expr.Uses, call: Any, rank: int) -> bool:
    """Whether an operator computes every channel from that channel alone."""
    name = expr.op_name(call)
    if name in BINARY:
        constants = [uses.constant(arg) for arg in call.args]
        axis = 1 if rank == 4 else rank - 1
        known = [value for value in constants if value is not None]
        return len(known) == 1 and varies_along(known[0], axis, rank)
    return name in layers.POOLS or (
        isinstance(call, relax.Call) and on_number(call, 0.0) is not None
    )


def _data(uses: expr.Uses, call: relax.Call) -> Any:
    """Return the operand that is not constant."""
    return next(arg for arg in call.args if uses.constant(arg) is None)


def _kept(
    uses: expr.Uses, first: relax.Call, between: list[relax.Call], second: relax.Call
) -> npt.NDArray[np.bool_] | None:
    """Return which of the channels between two layers to keep; at least one is."""
    producer, consumer = _filters_first(uses, first), _filters_first(uses, second)
    read = (np.moveaxis(consumer, 1, 0).reshape(consumer.shape[1], -1) != 0).any(axis=1)
    kept = np.asarray(read)
    for channel in np.nonzero(~(producer.reshape(len(producer), -1) != 0).any(axis=1))[0]:
        value: float | None = 0.0
        for step in between:
            value = None if value is None else _on_channel(uses, step, value, int(channel))
        kept[channel] = kept[channel] and value != 0.0
    if not kept.any():
        kept[0] = True
    return kept if kept.all() else whole_blocks.around(producer, consumer, kept)


def _on_channel(uses: expr.Uses, step: relax.Call, value: float, channel: int) -> float | None:
    """Return what an operator does to a channel that holds one value everywhere."""
    name = expr.op_name(step)
    if name == layers.CONV:  # depthwise, whose padding is zero
        return 0.0 if value == 0.0 else None
    if name in layers.POOLS:
        return value if value == 0.0 or name == layers.POOLS[0] else None
    if name in BINARY:
        operands = [value, value]
        for i, arg in enumerate(step.args):
            constant = uses.constant(arg)
            if constant is not None:
                flat = constant.reshape(-1)
                operands[i] = float(flat[channel] if flat.size > 1 else flat[0])
        return BINARY[name](*operands)
    return on_number(step, value)


def _filters_first(uses: expr.Uses, call: relax.Call) -> Array:
    value = uses.constant(call.args[1])
    assert value is not None  # `_is_layer` looked
    return value.T if expr.op_name(call) == layers.LINEAR else value


def _shrink(pair: _Pair) -> dict[relax.Var, expr.Change]:
    """Plan the smaller weights and biases of a pair."""
    changes: dict[relax.Var, expr.Change] = {
        pair.first: functools.partial(_take, kept=pair.kept, conv_axis=0),
        pair.second: functools.partial(_take, kept=pair.kept, conv_axis=1),
    }
    for var in pair.biases:
        changes[var] = functools.partial(_take_bias, kept=pair.kept)
    for var in pair.depthwise:
        changes[var] = functools.partial(_take_depthwise, kept=pair.kept)
    return changes


def _take(
    call: relax.Call, builder: relax.BlockBuilder, kept: npt.NDArray[np.bool_], conv_axis: int
) -> relax.Call:
    axis = conv_axis if expr.op_name(call) == layers.CONV else 1 - conv_axis
    weight = expr.constant(builder, call.args[1])
    assert weight is not None  # `_is_layer` looked
    smaller = expr.const(np.compress(kept, weight, axis=axis))
    return relax.Call(call.op, [call.args[0], smaller], call.attrs, call.ty_args)


def _take_depthwise(
    call: relax.Call, builder: relax.BlockBuilder, kept: npt.NDArray[np.bool_]
) -> relax.Expr:
    weight, attrs = expr.constant(builder, call.args[1]), call.attrs
    assert weight is not None  # `_is_depthwise` looked
    return relax.op.nn.conv2d(
        call.args[0],
        expr.const(weight[kept]),
        strides=[int(size) for size in attrs.strides],
        padding=[int(size) for size in attrs.padding],
        dilation=[int(size) for size in attrs.dilation],
        groups=int(kept.sum()),
    )


def _take_bias(
    call: relax.Call, builder: relax.BlockBuilder, kept: npt.NDArray[np.bool_]
) -> relax.Call:
    args = []
    for arg in call.args:
        value = expr.constant(builder, arg)
        if value is not None and value.size > 1:
            axis = value.shape.index(len(kept))
            arg = expr.const(np.compress(kept, value, axis=axis))
        args.append(arg)
    return relax.Call(call.op, args, call.attrs, call.ty_args)
