"""Sets of filters that keep similar taps, wherever in the layer they stand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tvm_sparse.formats.protocol import Mask, Weight

Filters = npt.NDArray[np.int64]

_SAMPLE = 2048  # taps on which overlaps are measured
_ALIKE = 0.5  # filters are alike if they share this much of the taps that either keeps


def equal(taps: Mask) -> list[Filters]:
    """Return the sets of filters that keep equal taps, those of no taps left out.

    Parameters
    ----------
    taps : bool array of shape (F, n)
        Which taps each filter keeps.
    """
    sets: dict[bytes, list[int]] = {}
    for number, row in enumerate(np.packbits(taps, axis=1)):
        sets.setdefault(row.tobytes(), []).append(number)
    return [np.array(s) for s in sets.values() if taps[s[0]].any()]


def alike(taps: Mask, least: int) -> list[Filters]:
    """Return sets of at least `least` filters that keep similar taps; other filters are in none.

    Greedy: the filter with the most taps gathers all that are like it, and so on.

    Parameters
    ----------
    taps : bool array of shape (F, n)
    least : int
    """
    left = np.asarray(taps.any(axis=1))
    shared = _overlap(taps)
    size = np.diag(shared)
    found = []
    for seed in np.argsort(-size, kind="stable"):
        if not left[seed]:
            continue
        either = np.maximum(size + size[seed] - shared[seed], 1)
        members = np.nonzero(left & (shared[seed] >= _ALIKE * either))[0]
        left[seed] = False
        if len(members) >= least:
            left[members] = False
            found.append(members)
    return found


def even(taps: Mask, size: int) -> list[Filters]:
    """Divide all filters into sets of `size` or a few more whose taps overlap most.

    Greedy: the filter whose taps overlap most with all that are left gathers the nearest ones.

    Parameters
    ----------
    taps : bool array of shape (F, n)
    size : int
    """
    shared = _overlap(taps)
    left, total, found = np.arange(len(taps)), shared.sum(axis=1), []
    for number in range(max(len(taps) // size, 1), 0, -1):
        seed = left[total[left].argmax()]
        near = shared[seed, left] + np.where(left == seed, np.inf, 0)
        members = left[np.argsort(-near, kind="stable")[: len(left) // number]]
        found.append(np.sort(members))
        left = np.setdiff1d(left, members)
        total -= shared[:, members].sum(axis=1)
    return found


def _overlap(taps: Mask) -> Weight:
    """Return how many taps each two filters share, on a sample of the taps."""
    n = taps.shape[1]
    chosen = np.random.default_rng(0).permutation(n)[:_SAMPLE] if n > _SAMPLE else np.arange(n)
    kept = taps[:, chosen].astype(np.float32)
    return np.asarray(kept @ kept.T)


def densest(scores: Weight, sets: list[Filters], weights: int) -> Mask:
    """Return which weights stay: of all sets and taps those of the highest mean score, whole.

    Parameters
    ----------
    scores : array of shape (F, n)
    sets : list of int array
        Filters that keep the same taps.
    weights : int
        That stay at most; one tap of a set always does.
    """
    means = np.stack([scores[members].mean(axis=0) for members in sets])
    sizes = np.repeat([len(members) for members in sets], scores.shape[1])
    ranked = np.argsort(-means, axis=None, kind="stable")
    enough = np.cumsum(sizes[ranked]) <= weights
    enough[0] = True
    kept = np.zeros(means.size, bool)
    kept[ranked[enough]] = True
    keep = np.zeros(scores.shape, bool)
    for members, taps in zip(sets, kept.reshape(means.shape), strict=True):
        keep[members] = taps
    return keep
