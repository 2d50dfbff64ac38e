"""Find the tensors of a float model that should be bytes, so that its layers become integer ones.

These are the inputs of convolutions and linear layers of constant weight. Where such an input is
the sum of a layer and something else, the other summand is one, too::

    y = conv(x); z = relu(y + s); conv(z)       x, z and s
    y = conv(x); p = max_pool(y); conv(p)       x, y and p, where y and p have the same bytes

So do the operands of what computes with integers between layers, where they come from layers::

    y = conv(x); p = mean(y); linear(p)                     x, y and p, each with its own bytes
    c = concat(conv(x), conv(x)); conv(c)                   x, c and what it is made of
    y = conv(x); f = flatten(y); linear(f)                  x, y and f, where y and f are the same
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
_VIEWS = ("relax.reshape", "relax.permute_dims")


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
    for var, layer in points.layers.items():
        _add(uses, points, uses.values[var].args[0], 1 if layer.op == "conv2d" else -1)
    done: set[relax.Var] = set()
    while left := [var for var in points.tensors if var not in done]:
        for var in left:
            _extend(uses, points, var)
        done.update(left)
    return points


def _is_var(value: Any) -> bool:
    return isinstance(value, relax.Var)


def _add(uses: expr.Uses, points: Points, var: relax.Var, axis: int | None = None) -> relax.Var:
    """Note a tensor, and return the one whose range decides."""
    if var in points.tensors:
        return points.tensors[var]
    made, decides = uses.value(var), var
    pools = expr.op_name(made) == layers.POOLS[0] and _is_var(made.args[0])
    if pools or (expr.op_name(made) in _VIEWS and _is_integer(uses, points, made.args[0])):
        decides = _add(uses, points, made.args[0])
    points.tensors[var] = decides
    points.axes[var] = axis or (1 if len(expr.shape(var) or ()) == 4 else -1)
    return decides


def _extend(uses: expr.Uses, points: Points, var: relax.Var) -> None:
    """Note what a tensor is computed from, if that is done with integers."""
    below = _below_clamps(uses, var)
    if expr.op_name(uses.value(below)) not in (layers.POOLS[0], *_VIEWS):  # see `_add`
        for operand in _operands(uses, points, below):
            _add(uses, points, operand)


def _operands(uses: expr.Uses, points: Points, value: Any) -> list[relax.Var]:
    """Return what must be bytes for a value to be computed with integers; none if it is not."""
    call = uses.value(value)
    name = expr.op_name(call)
    if name == "relax.add":
        return _summands(uses, points, call)
    if name == "relax.concat":
        parts = list(uses.value(call.args[0]).fields)
    elif name in (*layers.POOLS, *_VIEWS) or layers.is_global_mean(call):
        parts = [call.args[0]]
    else:
        return []
    return parts if all(_is_integer(uses, points, part) for part in parts) else []


def _summands(uses: expr.Uses, points: Points, call: relax.Call) -> list[relax.Var]:
    """Return what is added to a layer, or the two operands where these are bytes by themselves."""
    for main, other in (tuple(call.args), tuple(call.args)[::-1]):
        if uses.constant(other) is None and _is_layer(uses, points, main):
            plain = _is_var(other) and expr.shape(other) == expr.shape(call)
            return [other] if plain else []
    plain = all(expr.shape(arg) == expr.shape(call) for arg in call.args)
    both = all(_is_integer(uses, points, arg) for arg in call.args)
    return list(call.args) if plain and both else []


def _below_clamps(uses: expr.Uses, value: Any) -> Any:
    while expr.op_name(uses.value(value)) in _CLAMPS:
        value = uses.value(value).args[0]
    return value


def _is_integer(uses: expr.Uses, points: Points, value: Any) -> bool:
    """Whether a tensor is one of bytes anyway, or comes from layers without anything in float."""
    if not _is_var(value) or uses.constant(value) is not None:
        return False
    if value in points.tensors:
        return True
    below = _below_clamps(uses, value)
    return _ends_layer(uses, points, below) or bool(_operands(uses, points, below))


def _ends_layer(uses: expr.Uses, points: Points, value: Any) -> bool:
    """Whether a value is a layer's, with its bias perhaps."""
    call = uses.value(value)
    if expr.op_name(call) == "relax.add":
        main = [arg for arg in call.args if uses.constant(arg) is None]
        return len(main) == 1 and _ends_layer(uses, points, main[0])
    return value in points.layers


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
