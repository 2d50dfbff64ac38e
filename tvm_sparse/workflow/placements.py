"""Measure two networks so that neither luck with memory nor a neighbour decides.

Both are loaded again and again into memory of their own, and timed in turns. What runs beside them
on the same machine slows them down, one by 8 and the other by 25 %, for seconds or minutes: a ratio
of such times is that of another machine. So rounds count in which the dense network, before and
after the sparse one, was about as fast as it ever was, and the sparse one too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt

from tvm_sparse.bench.timing import Times

_Array = npt.NDArray[np.float64]

_LOADS = (5, 40)  # at least, and at most: about ten seconds of small networks
_WATCHED = 80  # where it is not known how fast a quiet machine is
_QUIET = 0.045  # how much slower than ever the dense network may be in a round that counts
_ALIKE = 0.05  # the same of the sparse one
_ROUNDS = 16  # that count, at least
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
    fastest : float
        Seconds of the dense network's fastest round in measurements before; 0 without such.
    """

    dense: tuple[Times, ...]
    sparse: tuple[Times, ...]
    fastest: float = 0.0

    @property
    def floor(self) -> float:
        """Seconds of the dense network's fastest round ever."""
        own = min(chain.from_iterable(one.rounds for one in self.dense))
        return min(own, self.fastest) if self.fastest else own

    @cached_property
    def rounds(self) -> _Array:
        """The rounds that count, shape (rounds, 2): seconds of dense and sparse.

        They are the quiet ones; if these are few, the half with the faster dense network.
        """
        dense, sparse, slowest = self._measured
        chosen = np.flatnonzero(self._quiet)
        if len(chosen) < _ROUNDS:
            order = np.argsort(slowest, kind="stable")
            chosen = order[: max(_ROUNDS, len(order) // 2)]
        else:
            chosen = chosen[sparse[chosen] <= sparse[chosen].min() * (1 + _ALIKE)]
        return np.stack([dense[chosen], sparse[chosen]], axis=1)

    @cached_property
    def _measured(self) -> tuple[_Array, _Array, _Array]:
        """Seconds of dense, of sparse, and of the slower dense round beside each."""
        dense = [np.array(one.rounds) for one in self.dense]
        around = [np.maximum(one, np.append(one[1:], one[-2:][0])) for one in dense]
        sparse = np.concatenate([one.rounds for one in self.sparse])
        return np.concatenate(dense), sparse, np.concatenate(around)

    @property
    def _quiet(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self._measured[2] <= self.floor * (1 + _QUIET))

    @property
    def ratios(self) -> _Array:
        """How many times as fast as dense the sparse network is, round by round."""
        return np.asarray(self.rounds[:, 0] / self.rounds[:, 1])

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
    def known(self) -> bool:
        """Whether there are enough quiet rounds that agree."""
        quiet = int(self._quiet.sum()) >= _ROUNDS
        return quiet and len(self.rounds) >= _ROUNDS / 2 and self.error <= _ENOUGH

    @property
    def times(self) -> tuple[Times, Times]:
        """The times of dense and sparse in the rounds that count."""
        dense, sparse = self.rounds.T.tolist()
        return Times(rounds=tuple(dense)), Times(rounds=tuple(sparse))

    def with_more(self, other: Compared) -> Compared:
        """Return the loads of both."""
        return Compared(
            dense=self.dense + other.dense,
            sparse=self.sparse + other.sparse,
            fastest=min(self.floor, other.floor),
        )


def watched(timed: Callable[[], Compared]) -> Compared:
    """Time both for longer: where it is not known how fast a quiet machine is."""
    return compared(timed, _WATCHED)


def compared(timed: Callable[[], Compared], least: int | None = None) -> Compared:
    """Time both until the speed-up of a quiet machine is known well, or often enough.

    Parameters
    ----------
    timed : callable
        Loads both anew, and times them.
    least : int, optional
        Loads at least.
    """
    found, least = timed(), least or _LOADS[0]
    while len(found.dense) < least or (not found.known and len(found.dense) < _LOADS[1]):
        found = found.with_more(timed())
    return found


def confirmed(measure: Callable[[], Compared], good: Callable[[Compared], bool]) -> Compared:
    """Return a measurement; one that is good only with others that say the same.

    A speed-up that is not good is believed at once: another plan follows. One that is good is
    measured a second time, and again while the last two differ; then the quiet rounds of all count.

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
