"""Take out of a table's times how fast the machine was while each network ran.

Clocks, and what else uses the caches and the memory, change from minute to minute: all kernels of a
network that ran in a slow minute are slow, by a tenth and more, in every round. A table is made of
many networks, each with other cells, so that neighbouring cells would differ by that. But networks
of one model share cells: first, last and depthwise layers, and schemes that are measured again. By
these each network's pace is found, and its times become those of the table's usual pace::

    stem 9.0 µs   a 20 µs          network 1        stem 9.0 µs   a 20 µs
    stem 9.9 µs   b 33 µs          network 2    →   stem 9.0 µs   b 30 µs
    stem 9.0 µs   c 50 µs          network 3        stem 9.0 µs   c 50 µs

Logarithms of times are sums of a cell's and a network's: medians of either are taken in turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tvm_sparse.latency import Cell, Epilogue
from tvm_sparse.scheme import Scheme

Array = npt.NDArray[np.float64]
_Name = tuple[str, Scheme, Epilogue]

_TURNS = 10  # of medians, after which they hardly change


def levelled(cells: Iterable[Cell]) -> list[Cell]:
    """Return cells with the times that they have at the usual pace.

    Parameters
    ----------
    cells : iterable of Cell
        As they were measured, network by network.
    """
    ran = networks(cells)
    return [
        replace(cell, seconds=float(cell.seconds / pace))
        for network, pace in zip(ran, paces(ran), strict=True)
        for cell in network
    ]


def networks(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Return the cells of each network: none has a cell twice, and each begins as others do."""
    ordered = list(cells)
    begins = {_name(network[0]) for network in _parted(ordered, set()) if network}
    return _parted(ordered, begins)


def _parted(cells: Sequence[Cell], begins: set[_Name]) -> list[list[Cell]]:
    """Return cells in parts, each up to a cell that it has, or with which networks begin."""
    found: list[list[Cell]] = [[]]
    known: set[_Name] = set()
    for cell in cells:
        if known and (_name(cell) in known or _name(cell) in begins):
            found.append([])
            known = set()
        known.add(_name(cell))
        found[-1].append(cell)
    return found


def paces(ran: Sequence[Sequence[Cell]]) -> Array:
    """Return how many times as long each network took as usual, shape (networks,).

    Networks that share no cells with others took 1.
    """
    places: dict[_Name, list[int]] = {}
    every = [(number, cell) for number, network in enumerate(ran) for cell in network]
    for place, (_, cell) in enumerate(every):
        places.setdefault(_name(cell), []).append(place)
    shared = [np.array(group) for group in places.values() if len(group) > 1]
    if not shared:
        return np.ones(len(ran))
    at = np.array([number for number, _ in every])
    logs = np.log([cell.seconds for _, cell in every])
    mine = [rows for rows in _by_network(np.concatenate(shared), at, len(ran)) if len(rows)]
    cells, pace = np.zeros(len(every)), np.zeros(len(ran))
    for _ in range(_TURNS):
        for group in shared:
            cells[group] = np.median(logs[group] - pace[at[group]])
        for rows in mine:
            pace[at[rows[0]]] = _middle((logs - cells)[rows], np.exp(logs[rows]))
    return np.asarray(np.exp(pace))


def _by_network(
    shared: npt.NDArray[np.int64], at: npt.NDArray[np.int64], number: int
) -> list[npt.NDArray[np.int64]]:
    """Return the places of the shared cells of each network."""
    return [shared[at[shared] == network] for network in range(number)]


def _middle(values: Array, weights: Array) -> float:
    """Return the median of values that count as much as their weights say."""
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(summed, summed[-1] / 2)])


def _name(cell: Cell) -> _Name:
    return cell.key, cell.scheme, cell.epilogue
