"""Find the tensors of a float model that should be bytes, so that its layers become integer ones.

These are the inputs of convolutions and linear layers of constant weight. Where such an input is
the sum of a layer and something else, the other summand is one, too::

    y = conv(x); z = relu(y + s); conv(z)       x, z and s
    y = conv(x); p = max_pool(y); conv(p)       x, y and p, where y and p have the same bytes
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tvm import relax

from tvm_sparse import words
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import expr, layers
from tvm_sparse.relay_passes.elementwise import CLIP

_CLAMPS = ("relax.nn.relu", CLIP)


@dataclass(kw_only=True)
class Points:
    """What to quantize in one function.

    Parameters
    ----------
    layers : dict of variable to Layer
        The layers that become integer ones, by what their sums are bound to.
    tensors : dict of variable to variable
        The tensors that become bytes, and whose range decides: of a pooled tensor, that before it.
    axes : dict of variable to int
        The axis of the channels of `tensors`.
    floats : list of str
        Which layers stay in float, and why.
    """

    layers: dict[relax.Var, Layer] = field(default_factory=dict)
    tensors: dict[relax.Var, relax.Var] = field(default_factory=dict)
    axes: dict[relax.Var, int] = field(default_factory=dict)
    floats: list[str] = field(default_factory=list)


def find(uses: expr.Uses, names: dict[str, str], skip: frozenset[str] = frozenset()) -> Points:
    """Return what to quantize in a function.

    Parameters
    ----------
    uses : Uses
        Of the function, simplified.
    names : dict of str to str
        What the user calls the layers, by their variables.
    skip : set of str
        Layers that stay in float.
    """
    points = Points()
    for var, call in uses.values.items():
        name = names.get(var.name, var.name)
        if expr.op_name(call) not in (layers.CONV, layers.LINEAR) or name in skip:
            continue
        weight, data = uses.constant(call.args[1]), call.args[0]
        if weight is None or not _is_var(data):
            continue
        layer = layers.layer_of(call, weight, name)
        why = words.objection(layer) if isinstance(layer, Layer) else layer
        if why or not isinstance(layer, Layer):
            points.floats.append(f"{name} stays in float: {why}")
            continue
        points.layers[var] = layer
        _add(uses, points, data, 1 if layer.op == "conv2d" else -1)
    for var in list(points.tensors):
        _add_summand(uses, points, var)
    return points


def _is_var(value: Any) -> bool:
    return isinstance(value, relax.Var)


def _add(uses: expr.Uses, points: Points, var: relax.Var, axis: int) -> relax.Var:
    """Note a tensor, and return the one whose range decides."""
    if var in points.tensors:
        return points.tensors[var]
    made = uses.value(var)
    decides = var
    if expr.op_name(made) == layers.POOLS[0] and _is_var(made.args[0]):
        decides = _add(uses, points, made.args[0], axis)
    points.tensors[var] = decides
    points.axes[var] = axis
    return decides


def _add_summand(uses: expr.Uses, points: Points, var: relax.Var) -> None:
    """Note what is added to a layer below a tensor."""
    below: Any = var
    while expr.op_name(uses.value(below)) in _CLAMPS:
        below = uses.value(below).args[0]
    call = uses.value(below)
    if expr.op_name(call) != "relax.add":
        return
    for main, other in (tuple(call.args), tuple(call.args)[::-1]):
        if uses.constant(other) is None and _is_layer(uses, points, main):
            if _is_var(other) and expr.shape(other) == expr.shape(below):
                if other not in points.tensors:
                    _add(uses, points, other, points.axes[var])
                    _add_summand(uses, points, other)
            return


def _is_layer(uses: expr.Uses, points: Points, value: Any) -> bool:
    """Whether a value is a layer's, with a bias perhaps, that nobody else reads."""
    if not uses.read_once(value):
        return False
    if value in points.layers:
        return True
    call = uses.value(value)
    if expr.op_name(call) != "relax.add":
        return False
    main = [arg for arg in call.args if uses.constant(arg) is None]
    return len(main) == 1 and _is_layer(uses, points, main[0])
