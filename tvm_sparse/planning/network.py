"""Which layers a model has to plan, and how long each takes under which scheme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tvm
from tvm import relax

from tvm_sparse import formats
from tvm_sparse.errors import ModelError
from tvm_sparse.frontend import import_model
from tvm_sparse.latency import DENSE, Epilogue, LatencyTable, canonical
from tvm_sparse.layer import Layer
from tvm_sparse.planning import chains, curves
from tvm_sparse.planning.problem import Option, Problem, Slot
from tvm_sparse.planning.storage import stored_nbytes
from tvm_sparse.profiling.lowered import lower
from tvm_sparse.profiling.network import prediction
from tvm_sparse.profiling.profile import simplified
from tvm_sparse.profiling.prune_constants import prune_constants
from tvm_sparse.relay_passes import expr, remove_dead_channels
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target

_PREDICTED = 4  # densities of a form that are predicted; those measured come on top


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
    """

    names: tuple[str, ...]
    layer: Layer
    epilogues: tuple[Epilogue, ...]
    seconds: float
    prunable: bool


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network's layers, the seconds of everything else, and which layer reads which.

    Of a chain the layers lose channels together, see `tvm_sparse.planning.chains`; places by index.
    """

    places: tuple[Place, ...]
    rest: float
    links: tuple[tuple[int, int], ...] = ()
    chains: tuple[tuple[int, ...], ...] = ()


def describe(
    model: Any, table: LatencyTable, target: Target, example_inputs: Any = None
) -> Network:
    """Return the layers of a model as its dense build would compute them.

    Raises
    ------
    ModelError
        If the model cannot be imported, or has no layers to prune.
    DatabaseError
        If the table cannot predict.
    """
    mod = simplified(import_model(model, example_inputs, None), target)
    lowered = lower(prune_constants(mod, lambda layer: DENSE), target, sparse=False)
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
        found[layer.name] = Place(
            names=tuple(layer.name.split(" + ")),
            layer=layer,
            epilogues=(*before[0], call.epilogue),
            seconds=before[1] + seconds,
            prunable=not layer.depthwise and (len(called) == 1 or layer.name not in ends),
        )
    if not any(place.prunable for place in found.values()):
        raise ModelError("the model has no layer that can be pruned: there is nothing to plan")
    rest = sum(part.latency.seconds for part in parts) - sum(seconds for _, seconds in called)
    names = [None if call.layer is None else call.layer.choice.layer.name for call in lowered.calls]
    order = list(found)
    known = {name: place.prunable for name, place in found.items()}
    together = chains.disjoint(remove_dead_channels.chains(mod), known)
    return Network(
        places=tuple(found.values()),
        rest=rest,
        links=_links(lowered.mod, names, order),
        chains=tuple(tuple(map(order.index, chain)) for chain in together),
    )


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


def problem(
    network: Network, table: LatencyTable, forms: Sequence[str], densities: Sequence[float]
) -> Problem:
    """Return the options of each layer with their times; errors are 0.

    Parameters
    ----------
    network : Network
    table : LatencyTable
        With a predictor.
    forms : sequence of str
        Formats with blocks, e.g. ``one_by_n-4``; each layer is offered those that suit it.
    densities : sequence of float

    Raises
    ------
    FormatError
        If a format is unknown, or a density out of range.
    """
    wanted = [Scheme.parse(f"{form}@1.0") for form in forms]
    for scheme in wanted:
        formats.get(scheme.format)
    known = _measured(table)
    slots = [_slot(place, table, known, wanted, densities) for place in network.places]
    groups = _groups(network, any(form.format == chains.CHANNEL for form in wanted))
    at = {place: number for number, group in enumerate(groups) for place in group}
    links = {(at[a], at[b]) for a, b in network.links if at[a] != at[b]}
    joined = tuple(_joined(network, group, slots, table, densities) for group in groups)
    return Problem(slots=joined, rest=network.rest, links=tuple(sorted(links)))


def _groups(network: Network, chained: bool) -> list[tuple[int, ...]]:
    """Return which places are decided together; a chain is where its last layer is."""
    found = {chain[-1]: chain for chain in network.chains if chained}
    inner = {place for chain in found.values() for place in chain[:-1]}
    return [found.get(at, (at,)) for at in range(len(network.places)) if at not in inner]


def _joined(
    network: Network,
    group: Sequence[int],
    slots: Sequence[Slot],
    table: LatencyTable,
    densities: Sequence[float],
) -> Slot:
    """Return the slot of places that are decided together."""
    if len(group) == 1:
        return slots[group[0]]
    places = [network.places[at] for at in group]
    seconds = chains.times(
        [place.layer for place in places],
        [place.epilogues for place in places],
        sum(place.seconds for place in places),
        table,
        densities,
    )
    return chains.joined([slots[at] for at in group], seconds)


Known = Mapping[tuple[str, Epilogue, str, tuple[int, ...]], Mapping[float, float]]
"""Measured seconds by density, for each layer, epilogue, format and block."""


def _measured(table: LatencyTable) -> Known:
    found: dict[tuple[str, Epilogue, str, tuple[int, ...]], dict[float, float]] = {}
    for cell in table.cells:
        name = cell.key, cell.epilogue, cell.scheme.format, cell.scheme.block
        found.setdefault(name, {})[cell.scheme.density] = cell.seconds
    return found


def _slot(
    place: Place,
    table: LatencyTable,
    known: Known,
    forms: Sequence[Scheme],
    densities: Sequence[float],
) -> Slot:
    options = [_option(place.layer, DENSE, place.seconds, True)]
    for form in forms if place.prunable else ():
        allowed = _allowed(place.layer, form, densities)
        if allowed:
            seconds, measured = _times(place, table, known, form, allowed)
            options += [
                _option(place.layer, replace(form, density=d), min(s, place.seconds), d in measured)
                for d, s in zip(allowed, seconds, strict=True)
            ]
    structured = _structured(place, table, densities) if place.prunable else {}
    return Slot(names=place.names, layer=place.layer, options=tuple(options), structured=structured)


def _option(layer: Layer, scheme: Scheme, seconds: float, measured: bool) -> Option:
    return Option(
        scheme=scheme,
        seconds=float(seconds),
        error=0.0,
        nbytes=stored_nbytes(layer, scheme),
        measured=measured,
    )


def _allowed(layer: Layer, form: Scheme, densities: Sequence[float]) -> list[float]:
    """Return the densities that a format can leave on a layer; none if it does not suit it."""
    found = formats.get(form.format)
    if not found.suits(layer.weight, form.block):
        return []
    most = found.limit(layer.weight, form.block)
    return [density for density in densities if density <= most]


def _times(
    place: Place,
    table: LatencyTable,
    known: Known,
    form: Scheme,
    densities: Sequence[float],
) -> tuple[Sequence[float], set[float]]:
    """Return the seconds at each density, and those densities that were measured."""
    total, exact = [0.0] * len(densities), set(densities)
    as_known = canonical(place.layer, replace(form, density=densities[0]))
    for epilogue in place.epilogues:
        points = dict(known.get((place.layer.key, epilogue, as_known.format, as_known.block), {}))
        exact &= set(points)
        for density in curves.anchors(densities, _PREDICTED if len(points) < 2 else 2):
            scheme = replace(form, density=density)
            points.setdefault(density, table.latency(place.layer, scheme, epilogue).seconds)
        more = curves.between(points, densities)
        total = [a + float(b) for a, b in zip(total, more, strict=True)]
    return total, exact


def _structured(
    place: Place, table: LatencyTable, densities: Sequence[float]
) -> dict[float, float]:
    """Return the seconds of the dense layer with fewer filters, by density."""
    points = {1.0: place.seconds}
    for density in curves.anchors(densities, _PREDICTED):
        groups = place.layer.groups
        filters = max(1, round(place.layer.filters * density / groups)) * groups
        fewer = replace(place.layer, weight=(filters, *place.layer.weight[1:]))
        points[density] = sum(table.latency(fewer, DENSE, e).seconds for e in place.epilogues)
    return dict(zip(densities, map(float, curves.between(points, densities)), strict=True))
