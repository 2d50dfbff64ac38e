"""Numbers at a few densities, and between them: errors along logarithms, times along lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tvm_sparse.planning.problem import Array

_LEAST = 1e-12  # what counts as no error


def geometric(largest: float, smallest: float, number: int) -> list[float]:
    """Return densities in equal ratios, the largest first, rounded to three digits.

    >>> geometric(0.5, 0.05, 3)
    [0.5, 0.158, 0.05]
    """
    found = np.geomspace(largest, smallest, number)
    return list(dict.fromkeys(float(f"{density:.3g}") for density in found))


def anchors(densities: Sequence[float], number: int) -> list[float]:
    """Return about so many of the densities, evenly spread, with both ends."""
    ordered = sorted(set(densities), reverse=True)
    places = np.linspace(0, len(ordered) - 1, min(number, len(ordered))).round().astype(int)
    return [ordered[place] for place in places]


def between(known: Mapping[float, float], densities: Sequence[float]) -> Array:
    """Return a number at each density, shape (densities,).

    Parameters
    ----------
    known : mapping of float to float
        Positive numbers by density, one at least. Beyond the last one, it is the number there.
    densities : sequence of float
    """
    at = sorted(known)
    values = np.log([max(known[density], _LEAST) for density in at])
    return np.asarray(np.exp(np.interp(np.log(densities), np.log(at), values)))


def times(known: Mapping[float, float], densities: Sequence[float]) -> Array:
    """Return the seconds at each density, shape (densities,).

    A kernel takes so long for each weight that it multiplies by, and something besides: seconds
    are on lines between densities, where lines between logarithms would be too high.

    Parameters
    ----------
    known : mapping of float to float
        Seconds by density, one at least. Beyond the last one, it is the number there.
    densities : sequence of float
    """
    at = sorted(known)
    return np.asarray(np.interp(densities, at, [known[density] for density in at]), np.float64)
