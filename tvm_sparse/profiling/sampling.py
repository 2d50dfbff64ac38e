"""Which cells to measure: a coarse grid first, then finer where the predictor errs.

Zhang et al., "nn-Meter", MobiSys 2021, for sampling finer around what is predicted badly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tvm_sparse import formats
from tvm_sparse.latency import DENSE, Cell, Epilogue, LatencyTable, canonical
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme

DENSITIES = (0.04, 0.12, 0.4)  # equal ratios, from about where plans end
FORMATS = ("one_by_n-4", "one_by_n-8", "one_by_n-16", "block_punched-8x4", "unstructured")
INTEGER_FORMATS = ("block_punched-4x4", "block_punched-8x4", "block_punched-16x4")  # whole words
NIBBLE_FORMATS = ("one_by_n-16", "one_by_n-32")  # whole panels of filters
_USUAL = {8: INTEGER_FORMATS, 4: NIBBLE_FORMATS}
_APART = 1.15  # ratio of densities below which two cells tell the same


@dataclass(kw_only=True)
class Place:
    """Layers of a network that are one layer to the table: any of them can take a measurement.

    Parameters
    ----------
    layer : Layer
    epilogue : Epilogue
    names : list of str
        What the network calls them.
    prunable : bool
        Whether one of them is neither the network's first layer nor its last: those stay dense.
    pending : list of Scheme
        Still to be measured, in this order.
    usual : list of Scheme
        What it takes in turns where nothing is pending.
    """

    layer: Layer
    epilogue: Epilogue
    names: list[str] = field(default_factory=list)
    prunable: bool = False
    pending: list[Scheme] = field(default_factory=list)
    usual: list[Scheme] = field(default_factory=lambda: [DENSE])


def usual(bits: int) -> tuple[str, ...]:
    """Return the formats that are measured and offered where nobody names others."""
    return _USUAL.get(bits, FORMATS)


def grid(layer: Layer, wanted: Sequence[str], densities: Sequence[float]) -> list[Scheme]:
    """Return the canonical schemes of a layer's cells, the dense one first.

    Parameters
    ----------
    layer : Layer
    wanted : sequence of str
        Formats with blocks, e.g. ``one_by_n-4``; those that do not suit the layer are left out.
    densities : sequence of float
        Those that a format cannot leave are left out.

    Raises
    ------
    FormatError
        If a format is unknown, or a density out of range.
    """
    found = [DENSE]
    for text in wanted:
        for density in densities:
            scheme = Scheme.parse(f"{text}@{density}")
            form = formats.get(scheme.format)
            suits = not layer.depthwise and form.suits(layer.weight, scheme.block)
            if suits and density <= form.limit(layer.weight, scheme.block):
                found.append(canonical(layer, scheme))
    return list(dict.fromkeys(found))


def missing(place: Place, table: LatencyTable, schemes: Sequence[Scheme]) -> list[Scheme]:
    """Return the schemes that were not measured at a place, the dense one first.

    The others come in an order drawn at random, always the same, so that a network does not have
    one density in all layers.
    """
    key, epilogue = place.layer.key, place.epilogue
    left = [one for one in schemes if table.measured(key, one, epilogue) is None]
    order = np.random.default_rng(len(key)).permutation(len(left))
    return sorted((left[turn] for turn in order), key=lambda scheme: scheme != DENSE)


def finer(known: Mapping[Scheme, float], most: float) -> list[Scheme]:
    """Return schemes halfway between measured ones, where the predictor errs.

    Parameters
    ----------
    known : mapping of Scheme to float
        The measured schemes of a place, and by which share a predictor that did not know them is
        off.
    most : float
        The error from which finer samples are wanted.

    Returns
    -------
    list of Scheme
        The neighbours of the largest errors first.
    """
    found: dict[Scheme, float] = {}
    for scheme, error in known.items():
        for other, _ in known.items() if error > most else ():
            if other != scheme and replace(other, density=scheme.density) == scheme:
                between = float(f"{np.sqrt(scheme.density * other.density):.2g}")
                middle = replace(scheme, density=between)
                if _is_new(middle, known):
                    found[middle] = max(found.get(middle, 0.0), error)
    return sorted(found, key=lambda scheme: -found[scheme])


def unsteady(cells: Iterable[Cell], most: float, bits: int) -> list[Scheme]:
    """Return the schemes of cells of so many bits whose spread is over `most`, the worst first."""
    found = [cell for cell in cells if cell.spread > most and cell.scheme.bits == bits]
    return [cell.scheme for cell in sorted(found, key=lambda cell: -cell.spread)]


def assign(places: Sequence[Place], number: int) -> dict[str, Scheme]:
    """Return a scheme for each layer of the next network, and take it from what is pending.

    Layers of which nothing is pending take turns, by `number`, among schemes that were measured:
    neighbours differ from network to network, as they will in use, and networks share cells.
    """
    found: dict[str, Scheme] = {}
    for place in places:
        for turn, name in enumerate(place.names):
            usual = place.usual[(number + turn) % len(place.usual)]
            found[name] = place.pending.pop(0) if place.pending else usual
    return found


def _is_new(scheme: Scheme, known: Mapping[Scheme, float]) -> bool:
    same = [one for one in known if replace(one, density=scheme.density) == scheme]
    ratios = [max(one.density / scheme.density, scheme.density / one.density) for one in same]
    return all(ratio > _APART for ratio in ratios)
