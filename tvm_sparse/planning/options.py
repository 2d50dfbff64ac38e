"""What each layer of a network is offered: schemes, also of fewer bits, with their times."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from tvm_sparse import formats, short_weights
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
        those that suit it. Depthwise layers are offered 32 bits alone, convolutions not 4: there is
        no kernel for that.
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
    slots = [
        _slot(place, _offers(place, table, known, forms), table, known, wanted, densities)
        for place in network.places
    ]
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


@dataclass(frozen=True, kw_only=True)
class _Offer:
    """A layer in so many bits, dense.

    Parameters
    ----------
    kernels : tuple of (Layer, Epilogue)
        That would compute it.
    seconds : float
        Of them.
    measured : bool
    """

    kernels: tuple[Kernel, ...]
    seconds: float
    measured: bool = True


def _offers(
    place: Place, table: LatencyTable, known: Known, bits: Collection[int]
) -> dict[int, _Offer]:
    """Return a layer in each number of bits that it can have, 32 first."""
    floats = tuple((place.layer, epilogue) for epilogue in place.epilogues)
    found = {32: _Offer(kernels=floats, seconds=place.seconds)}
    if place.integers:
        plain, exact = _times(place.integers, table, known, _DENSE_BYTES, [1.0])
        found[_DENSE_BYTES.bits] = _Offer(
            kernels=place.integers,
            seconds=plain[0],
            measured=bool(exact),
        )
    can = [one for one in short_weights.BITS if short_weights.fits(place.layer, one)]
    for one in can if not place.layer.depthwise else ():
        if one in bits:
            plain, exact = _times(floats, table, known, replace(DENSE, bits=one), [1.0])
            found[one] = _Offer(kernels=floats, seconds=plain[0], measured=bool(exact))
    return found


def _slot(
    place: Place,
    offers: Mapping[int, _Offer],
    table: LatencyTable,
    known: Known,
    forms: Sequence[Scheme],
    densities: Sequence[float],
) -> Slot:
    layer = place.layer
    options = [
        _option(layer, replace(DENSE, bits=bits), one.seconds, one.measured)
        for bits, one in offers.items()
    ]
    for form in forms if place.prunable else ():
        offer = offers.get(form.bits)
        allowed = [] if offer is None else _allowed(offer.kernels, form, densities)
        if offer is not None and allowed:
            seconds, measured = _times(offer.kernels, table, known, form, allowed)
            options += [
                _pruned(layer, replace(form, density=density), offer, time, density in measured)
                for density, time in zip(allowed, seconds, strict=True)
            ]
    structured = _structured(place, table, densities) if place.prunable else {}
    return Slot(names=place.names, layer=layer, options=tuple(options), structured=structured)


def _pruned(layer: Layer, scheme: Scheme, dense: _Offer, seconds: float, measured: bool) -> Option:
    """Return an option, which is stored like the dense one where skipping zeros gains no time."""
    found = _option(layer, scheme, min(seconds, dense.seconds), measured)
    if seconds < dense.seconds:
        return found
    return replace(found, nbytes=stored_nbytes(layer, replace(DENSE, bits=scheme.bits)))


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
