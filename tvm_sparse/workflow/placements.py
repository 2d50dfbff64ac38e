"""Measure two networks so that neither luck with memory nor a neighbour decides.

Where the pages of weights and activations lie changes a small network's time by a tenth, as long as
it is loaded: a single load, measured ever so often, tells one of many times. So both are loaded
again and again into memory of their own, timed in turns, and the median over the loads counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import numpy as np

from tvm_sparse.bench.timing import Times

_LOADS = (5, 15)  # at least, and at most
_ENOUGH = 0.008  # standard error of a median of ratios, as a share
_APART = 0.02  # by which separate measurements may differ
_MEASUREMENTS = 4  # of one plan at most
_NORMAL = 0.93  # standard error of a median, over interquartile range by root of the number


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Two networks that were timed in turns, load after load.

    Parameters
    ----------
    dense, sparse : tuple of Times
        One for each load.
    """

    dense: tuple[Times, ...]
    sparse: tuple[Times, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many times as fast as dense the sparse network is, load by load."""
        pairs = zip(self.sparse, self.dense, strict=True)
        return tuple(sparse.ratio(dense) for sparse, dense in pairs)

    @property
    def speedup(self) -> float:
        """The median of `ratios`."""
        return float(np.median(self.ratios))

    @property
    def error(self) -> float:
        """The standard error of `speedup`, as a share, from the quartiles of `ratios`."""
        low, high = np.percentile(self.ratios, [25, 75])
        return float(_NORMAL * (high - low) / self.speedup / np.sqrt(len(self.ratios)))

    @property
    def seconds(self) -> float:
        """The sparse network's median time."""
        return together(self.sparse).median

    def with_more(self, other: Compared) -> Compared:
        """Return the loads of both."""
        return Compared(dense=self.dense + other.dense, sparse=self.sparse + other.sparse)


def together(times: tuple[Times, ...]) -> Times:
    """Return the rounds of all loads as those of one.

    >>> together((Times(rounds=(1.0, 2.0)), Times(rounds=(3.0,)))).median
    2.0
    """
    return Times(rounds=tuple(chain.from_iterable(one.rounds for one in times)))


def compared(timed: Callable[[], Compared]) -> Compared:
    """Time both until the speed-up is known well, or often enough.

    Parameters
    ----------
    timed : callable
        Loads both anew, and times them.
    """
    found = timed()
    while len(found.dense) < _LOADS[0] or (found.error > _ENOUGH and len(found.dense) < _LOADS[1]):
        found = found.with_more(timed())
    return found


def confirmed(measure: Callable[[], Compared], good: Callable[[Compared], bool]) -> Compared:
    """Return a measurement; one that is good only with others that say the same.

    A speed-up that is not good is believed at once: another plan follows. One that is good is
    measured a second time, and again while the last two differ; then all loads count together.

    Parameters
    ----------
    measure : callable
        Measures, with loads of its own.
    good : callable
        Whether a measurement is near to what is wanted.
    """
    found = [measure()]
    if not good(found[0]):
        return found[0]
    found.append(measure())
    while _apart(found[-2], found[-1]) and len(found) < _MEASUREMENTS:
        found.append(measure())
    total = found[0]
    for one in found[1:]:
        total = total.with_more(one)
    return total


def _apart(a: Compared, b: Compared) -> bool:
    low, high = sorted((a.speedup, b.speedup))
    return high / low > 1 + _APART
