"""Which layers a model has to plan, and by which kernels they are computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax

from tvm_sparse.errors import ModelError
from tvm_sparse.frontend import import_model
from tvm_sparse.integer_choice import IntegerChoice
from tvm_sparse.latency import DENSE, Epilogue, LatencyTable
from tvm_sparse.layer import Layer
from tvm_sparse.planning import chains, tensors
from tvm_sparse.planning.borders import Border
from tvm_sparse.profiling import integers
from tvm_sparse.profiling.lowered import Lowered, lower
from tvm_sparse.profiling.network import prediction
from tvm_sparse.profiling.profile import simplified
from tvm_sparse.profiling.prune_constants import prune_constants
from tvm_sparse.relay_passes import expr, remove_dead_channels
from tvm_sparse.targets import Target

Kernel = tuple[Layer, Epilogue]
"""A layer, and what is computed with it in one kernel."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A layer of a network.

    Parameters
    ----------
    names : tuple of str
        Several, if they are computed as one.
    layer : Layer
    epilogues : tuple of Epilogue
        One for each time that the network calls it.
    seconds : float
        Of all calls, the layer being dense.
    prunable : bool
        Not the first layer, nor the last, nor a depthwise one.
    integers : tuple of (Layer, Epilogue)
        The int8 kernels that would compute it, one for each call; empty where that cannot be, or
        was not asked for.
    """

    names: tuple[str, ...]
    layer: Layer
    epilogues: tuple[Epilogue, ...]
    seconds: float
    prunable: bool
    integers: tuple[Kernel, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network's layers, the seconds of everything else, and which layer reads which.

    Of a chain the layers lose channels together, see `tvm_sparse.planning.chains`; borders are what
    it costs where some are int8, see `tvm_sparse.planning.borders`; places by index.
    """

    places: tuple[Place, ...]
    rest: float
    links: tuple[tuple[int, int], ...] = ()
    chains: tuple[tuple[int, ...], ...] = ()
    borders: tuple[Border, ...] = ()


def describe(
    model: Any,
    table: LatencyTable,
    target: Target,
    example_inputs: Any = None,
    bits: Sequence[int] = (32,),
) -> Network:
    """Return the layers of a model as its dense build would compute them, as int8 too if asked.

    Raises
    ------
    ModelError
        If the model cannot be imported, or has no layers to prune.
    DatabaseError
        If the table cannot predict.
    """
    mod = simplified(import_model(model, example_inputs, None), target)
    mod = prune_constants(mod, lambda layer: DENSE)
    lowered = lower(mod, target, sparse=False)
    bytewise = _lowered_integers(mod, target) if integers.BITS in bits else None
    rounded = {} if bytewise is None else _integers(bytewise)
    parts = prediction(lowered, table).parts
    called = [
        (call.layer, part.latency.seconds)
        for call, part in zip(lowered.calls, parts, strict=True)
        if call.layer is not None
    ]
    ends = {call.choice.layer.name for call, _ in (called[:1] + called[-1:])}
    found: dict[str, Place] = {}
    for call, seconds in called:
        layer = call.choice.layer
        place = found.get(layer.name)
        before = (place.epilogues, place.seconds) if place else ((), 0.0)
        names = tuple(layer.name.split(" + "))
        found[layer.name] = Place(
            names=names,
            layer=layer,
            epilogues=(*before[0], call.epilogue),
            seconds=before[1] + seconds,
            prunable=not layer.depthwise and (len(called) == 1 or layer.name not in ends),
            integers=_of_all(names, rounded) if not layer.depthwise else (),
        )
    if not any(place.prunable for place in found.values()):
        raise ModelError("the model has no layer that can be pruned: there is nothing to plan")
    rest = sum(part.latency.seconds for part in parts) - sum(seconds for _, seconds in called)
    calls = [None if call.layer is None else call.layer.choice.layer.name for call in lowered.calls]
    order = list(found)
    known = {name: place.prunable for name, place in found.items()}
    together = chains.disjoint(remove_dead_channels.chains(mod), known)
    able = [at for at, name in enumerate(order) if found[name].integers]
    at = {name: number for number, name in enumerate(order)}
    return Network(
        places=tuple(found.values()),
        rest=rest,
        links=_links(lowered.mod, calls, order),
        chains=tuple(tuple(map(order.index, chain)) for chain in together),
        borders=() if bytewise is None else tensors.borders(lowered, bytewise, at, able, table),
    )


def _lowered_integers(mod: tvm.IRModule, target: Target) -> Lowered:
    """Return a network with all layers int8 that can be."""
    return lower(integers.quantized(mod), target, sparse=False)


def _integers(lowered: Lowered) -> dict[str, list[Kernel]]:
    """Return the int8 kernels of a network, by layers' names."""
    found: dict[str, list[Kernel]] = {}
    for call in lowered.calls:
        if call.layer is not None and isinstance(call.layer.choice, IntegerChoice):
            layer = call.layer.choice.layer
            found.setdefault(layer.name, []).append((layer, call.layer.epilogue))
    return found


def _of_all(names: Sequence[str], known: Mapping[str, Sequence[Kernel]]) -> tuple[Kernel, ...]:
    """Return the kernels of layers that are computed together; none if one of them has none."""
    missing = any(name not in known for name in names)
    return () if missing else tuple(kernel for name in names for kernel in known[name])


def _links(
    mod: tvm.IRModule, names: Sequence[str | None], places: Sequence[str]
) -> tuple[tuple[int, int], ...]:
    """Return which places read what others computed, through operators that are no layers.

    Parameters
    ----------
    mod : IRModule
        Whose calls are kernels.
    names : sequence of str or None
        Of each kernel, the layer that it computes.
    places : sequence of str
        All layers.
    """
    writers: dict[relax.Var, set[str]] = {}
    links: set[tuple[int, int]] = set()
    left = iter(names)
    for var, value in expr.Uses(mod["main"]).values.items():
        variables = relax.analysis.free_vars(value)
        read = {name for one in variables for name in writers.get(one, ())}
        layer = next(left) if expr.op_name(value) == "relax.call_tir" else None
        if layer is not None:
            links.update((places.index(name), places.index(layer)) for name in read)
        writers[var] = read if layer is None else {layer}
    return tuple(sorted(links))
