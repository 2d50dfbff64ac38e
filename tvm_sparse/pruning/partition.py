"""Divide filters into sets of equal size that keep similar taps.

Recursive bisection: the Fiedler vector of the graph whose edges are shared taps says how to begin,
swaps of two filters (Kernighan and Lin, "An Efficient Heuristic Procedure for Partitioning Graphs",
1970) improve each cut. It takes the place of a hypergraph partitioner.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tvm_sparse.formats.protocol import Mask

Filters = npt.NDArray[np.int64]
_Matrix = npt.NDArray[np.float64]


def partition(taps: Mask, size: int) -> list[Filters]:
    """Return sets of at least `size` filters that share as many taps as can be found.

    Parameters
    ----------
    taps : bool array of shape (F, n)
        Which taps each filter keeps.
    size : int
        The sets hold so many filters, or a few more; fewer if there are no more.
    """
    kept = taps.astype(np.float64)
    shared = kept @ kept.T
    return _divided(shared, np.arange(len(taps)), max(len(taps) // size, 1))


def cut(taps: Mask, sets: list[Filters]) -> int:
    """Return in how many sets too many each tap is kept, summed over taps (connectivity - 1)."""
    found = np.stack([taps[members].any(axis=0) for members in sets])
    return int(np.maximum(found.sum(axis=0) - 1, 0).sum())


def _divided(shared: _Matrix, filters: Filters, parts: int) -> list[Filters]:
    if parts == 1:
        return [np.sort(filters)]
    left = parts // 2
    side = _bisected(shared[np.ix_(filters, filters)], len(filters) * left // parts)
    return _divided(shared, filters[side], left) + _divided(shared, filters[~side], parts - left)


def _bisected(shared: _Matrix, number: int) -> Mask:
    """Return which `number` of the filters are on one side."""
    weights = shared - np.diag(np.diag(shared))
    laplacian = np.diag(weights.sum(axis=1)) - weights
    fiedler = np.linalg.eigh(laplacian)[1][:, 1]
    side = np.zeros(len(shared), bool)
    side[np.argsort(fiedler, kind="stable")[:number]] = True
    for _ in range(len(shared)):
        if not _swapped(weights, side):
            break
    return side


def _swapped(weights: _Matrix, side: Mask) -> bool:
    """Swap the two filters that shorten the cut most, in place; tell if there were any."""
    ours, theirs = np.nonzero(side)[0], np.nonzero(~side)[0]
    toward = weights[:, ~side].sum(axis=1) - weights[:, side].sum(axis=1)
    gains = toward[ours][:, None] - toward[theirs] - 2 * weights[np.ix_(ours, theirs)]
    best = np.unravel_index(int(gains.argmax()), gains.shape)
    if gains[best] <= 1e-9:
        return False
    side[ours[best[0]]], side[theirs[best[1]]] = False, True
    return True
