"""What each layer of a network is offered: schemes, also in bytes, with their times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tvm_sparse import formats
from tvm_sparse.latency import DENSE, Epilogue, LatencyTable, canonical
from tvm_sparse.layer import Layer
from tvm_sparse.planning import chains, curves
from tvm_sparse.planning.borders import Border
from tvm_sparse.planning.network import Kernel, Network, Place
from tvm_sparse.planning.problem import Option, Problem, Slot
from tvm_sparse.planning.storage import stored_nbytes
from tvm_sparse.profiling import integers
from tvm_sparse.scheme import Scheme

_DENSE_BYTES = replace(DENSE, bits=integers.BITS)
_PREDICTED = 4  # densities of a form that are predicted; those measured come on top


def problem(
    network: Network,
    table: LatencyTable,
    forms: Mapping[int, Sequence[str]],
    densities: Sequence[float],
) -> Problem:
    """Return the options of each layer with their times; errors are 0.

    Parameters
    ----------
    network : Network
    table : LatencyTable
        With a predictor.
    forms : mapping of int to sequence of str
        By bits that are offered: formats with blocks, e.g. ``one_by_n-4``; each layer is offered
        those that suit it.
    densities : sequence of float

    Raises
    ------
    FormatError
        If a format is unknown, or a density out of range.
    """
    named = [Scheme.parse(f"{form}@1.0/{bits}") for bits in forms for form in forms[bits]]
    wanted = [one for one in named if one.format != chains.CHANNEL or one.bits == 32]
    for scheme in wanted:
        formats.get(scheme.format)
    known = _measured(table)
    slots = [_slot(place, table, known, wanted, densities) for place in network.places]
    groups = _groups(network, any(form.format == chains.CHANNEL for form in wanted))
    at = {place: number for number, group in enumerate(groups) for place in group}
    links = {(at[a], at[b]) for a, b in network.links if at[a] != at[b]}
    joined = tuple(_joined(network, group, slots, table, densities) for group in groups)
    return Problem(
        slots=joined,
        rest=network.rest,
        links=tuple(sorted(links)),
        borders=tuple(_moved(border, at) for border in network.borders),
    )


def _moved(border: Border, at: Mapping[int, int]) -> Border:
    """Return a border of places as one of slots."""
    return replace(
        border,
        writers=tuple(sorted({at[place] for place in border.writers})),
        readers=tuple(sorted({at[place] for place in border.readers})),
    )


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


Known = Mapping[tuple[str, Epilogue, Scheme], Mapping[float, float]]
"""Measured seconds by density, for each layer, epilogue, and scheme of density 1."""


def _measured(table: LatencyTable) -> Known:
    found: dict[tuple[str, Epilogue, Scheme], dict[float, float]] = {}
    for cell in table.cells:
        name = cell.key, cell.epilogue, replace(cell.scheme, density=1.0)
        found.setdefault(name, {})[cell.scheme.density] = cell.seconds
    return found


def _slot(
    place: Place,
    table: LatencyTable,
    known: Known,
    forms: Sequence[Scheme],
    densities: Sequence[float],
) -> Slot:
    floats = tuple((place.layer, epilogue) for epilogue in place.epilogues)
    options = [_option(place.layer, DENSE, place.seconds, True)]
    asked: dict[int, tuple[tuple[Kernel, ...], float]] = {32: (floats, place.seconds)}
    if place.integers:
        plain, exact = _times(place.integers, table, known, _DENSE_BYTES, [1.0])
        options.append(_option(place.layer, _DENSE_BYTES, plain[0], bool(exact)))
        asked[_DENSE_BYTES.bits] = place.integers, plain[0]
    for form in forms if place.prunable else ():
        kernels, dense = asked.get(form.bits, ((), 0.0))
        allowed = _allowed(kernels, form, densities)
        if allowed:
            seconds, measured = _times(kernels, table, known, form, allowed)
            options += [
                _option(place.layer, replace(form, density=d), min(s, dense), d in measured)
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


def _allowed(kernels: Sequence[Kernel], form: Scheme, densities: Sequence[float]) -> list[float]:
    """Return the densities that a format can leave on layers; none if it does not suit them."""
    found = formats.get(form.format)
    shapes = [layer.weight for layer, _ in kernels]
    if not shapes or not all(found.suits(shape, form.block) for shape in shapes):
        return []
    most = min(found.limit(shape, form.block) for shape in shapes)
    return [density for density in densities if density <= most]


def _times(
    kernels: Sequence[Kernel],
    table: LatencyTable,
    known: Known,
    form: Scheme,
    densities: Sequence[float],
) -> tuple[Sequence[float], set[float]]:
    """Return the seconds at each density, and those densities that were measured."""
    total, exact = [0.0] * len(densities), set(densities)
    for layer, epilogue in kernels:
        as_known = canonical(layer, replace(form, density=densities[0]))
        name = layer.key, epilogue, replace(as_known, density=1.0)
        points = dict(known.get(name, {}))
        exact &= set(points)
        for density in curves.anchors(densities, _PREDICTED if len(points) < 2 else 2):
            if density not in points:
                scheme = replace(form, density=density)
                points[density] = table.latency(layer, scheme, epilogue).seconds
        more = curves.times(points, densities)
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
    return dict(zip(densities, map(float, curves.times(points, densities)), strict=True))
