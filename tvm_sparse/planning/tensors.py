"""Which tensors lie between a network's layers, and what they cost where some of these are int8."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tvm import ir, relax

from tvm_sparse.latency import Epilogue, LatencyTable
from tvm_sparse.planning.borders import Border
from tvm_sparse.profiling.lowered import Called, Lowered
from tvm_sparse.profiling.network import guess
from tvm_sparse.relay_passes import expr
from tvm_sparse.words import BYTES

_NO_LAYER = Epilogue(0, 0)
_BIAS = "add"


@dataclass(kw_only=True)
class Tensor:
    """A tensor that layers read.

    Parameters
    ----------
    shape : tuple of int
    writers : set of str
        Layers that compute it, with nothing but other operators in between.
    readers : list of str
    op : str
        Of the layers that read it.
    quantized : bool
        Whether one kernel made words of floats to get it.
    """

    shape: tuple[int, ...]
    writers: set[str] = field(default_factory=set)
    readers: list[str] = field(default_factory=list)
    op: str = "conv2d"
    quantized: bool = False


def tensors(lowered: Lowered) -> list[Tensor]:
    """Return the tensors that a model's layers read, those with other readers than layers too."""
    found: dict[relax.Var, Tensor] = {}
    left = iter(lowered.calls)
    for var, value in expr.Uses(lowered.mod["main"]).values.items():
        made = Tensor(shape=expr.shape(var) or ())
        is_kernel = expr.op_name(value) == "relax.call_tir"
        call = next(left) if is_kernel else None
        read = _variables(value.args[1].fields if is_kernel else getattr(value, "args", ()))
        sources = [found.setdefault(one, Tensor(shape=expr.shape(one) or ())) for one in read]
        if call is None or call.layer is None:
            made.writers = {name for source in sources for name in source.writers}
            made.quantized = call is not None and "quantize" in call.key.split()[0].split("_")
        else:
            layer = call.layer.choice.layer
            made.writers = {layer.name}
            for source in sources:
                source.readers.append(layer.name)
                source.op = layer.op
        found[var] = made
    return [tensor for tensor in found.values() if tensor.readers]


def borders(
    floats: Lowered,
    integers: Lowered,
    places: Mapping[str, int],
    able: Collection[int],
    table: LatencyTable,
) -> tuple[Border, ...]:
    """Return what it costs where layers of floats and of int8 meet.

    Parameters
    ----------
    floats, integers : Lowered
        The network in float, and with all layers int8.
    places : mapping of str to int
        By layers' names in the float network.
    able : collection of int
        Places of layers that can be int8.
    table : LatencyTable
    """
    calls = {call.layer.choice.layer.name: call for call in floats.calls if call.layer}
    always = {name for one in tensors(integers) if one.quantized for name in one.readers}
    found = []
    for tensor in tensors(floats):
        readers = {places[name] for name in tensor.readers}
        known = {places[n] for n in tensor.readers if not always.isdisjoint(n.split(" + "))}
        writers = {places[name] for name in tensor.writers}
        times = _times(tensor, [calls[name] for name in tensor.writers], table)
        for part, wrote in ((readers - known, writers), (known, set[int]())):
            mine = part & set(able)
            border = Border(
                writers=tuple(sorted(wrote)) if wrote <= set(able) else (),
                readers=tuple(sorted(mine)),
                floats=mine != part,
                **times,
            )
            if border.readers or (border.writers and part):
                found.append(border)
    return tuple(found)


def _times(tensor: Tensor, writers: Sequence[Called], table: LatencyTable) -> dict[str, float]:
    """Return the seconds of a tensor's conversions.

    Where the writer's activation is a kernel of its own, a residual is added there, in float.
    """
    reals, words = _shapes(tensor)
    found = {
        "to_bytes": _seconds(f"quantize {reals} {words}", table),
        "to_floats": _seconds(f"dequantize {words} {reals}", table),
    }
    (first, *more) = writers or (None,)
    if first is None or more or first.layer is None:
        return found
    activation = _activation(first)
    alone = _seconds(activation, table) if activation else 0.0
    return {**found, "activation": alone + bool(first.layer.epilogue.reads) * found["to_floats"]}


def _seconds(key: str, table: LatencyTable) -> float:
    return (table.measured(key, epilogue=_NO_LAYER) or guess(key, table)).seconds


def _shapes(tensor: Tensor) -> tuple[str, str]:
    """Return the shapes of a tensor and of its words, as a table writes them."""
    axis = 1
    shape = tensor.shape
    if tensor.op == "linear":  # channels come first in words
        axis, shape = 0, (tensor.shape[-1], math.prod(tensor.shape[:-1]))
    words = (*shape[:axis], -(-shape[axis] // BYTES), *shape[axis + 1 :])
    return _text(shape), _text(words)


def _activation(call: Called) -> str:
    """Return what a table calls what follows a layer's bias, as a kernel; empty if nothing does."""
    assert call.layer is not None
    name, *shapes = call.key.split()
    operators = name.split(call.layer.choice.layer.op, 1)[-1].strip("_")
    rest = operators.removeprefix(_BIAS).strip("_")
    reads = 1 + call.layer.epilogue.reads
    return " ".join([rest, *[shapes[-1]] * (reads + 1)]) if rest else ""


def _variables(values: Sequence[Any]) -> list[relax.Var]:
    return [
        one for one in values if isinstance(one, relax.Var) and not isinstance(one, ir.GlobalVar)
    ]


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
