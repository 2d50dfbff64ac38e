"""Times of several callables, taken in turns, as medians with their spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

_SPIN = 0.2
_TRIALS = 5


@dataclass(frozen=True, kw_only=True)
class Times:
    """The times of one callable, in seconds, one a round.

    Parameters
    ----------
    rounds : tuple of float
    """

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median time in seconds."""
        return float(np.median(self.rounds))

    @property
    def spread(self) -> float:
        """Half of the interquartile range, as a share of the median."""
        low, high = np.percentile(self.rounds, [25, 75])
        return float((high - low) / 2 / self.median)

    def ratio(self, other: Times) -> float:
        """Return how many times as long the other takes: the median over paired rounds."""
        return float(np.median(np.divide(other.rounds, self.rounds)))


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    rounds: int = 15,
    least: float = 0.01,
    rest: Collection[str] = (),
) -> dict[str, Times]:
    """Time callables in turns: every round runs each of them.

    Each runs once before it is timed, so that none pays for the caches that another one filled.

    Parameters
    ----------
    calls : mapping of str to callable
        One with a method ``seconds(repeats)``, which runs in another process, is timed by that.
    rounds : int
    least : float
        Seconds that a callable runs in each round at least; shorter ones are repeated.
    rest : collection of str
        Before these, and before the one after each of them, wait until the other engines' threads
        no longer spin for work: TVM's do so for about a tenth of a second.
    """
    repeats = {name: _repeats(call, least) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        spinning = False
        for name, call in calls.items():
            if spinning or name in rest:
                time.sleep(_SPIN)
            spinning = name in rest
            call()
            times[name].append(_seconds(call, repeats[name]) / repeats[name])
    return {name: Times(rounds=tuple(values)) for name, values in times.items()}


def _repeats(call: Callable[[], object], least: float) -> int:
    """Return how many calls fill `least`, by the fastest of several: one alone may be a stall."""
    call()
    seconds = [_seconds(call, 1) for _ in range(_TRIALS)]
    return max(1, round(least / max(min(seconds), 1e-7)))


def _seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the time of some calls, by the callable's own clock if it has one."""
    clock: Callable[[int], float] | None = getattr(call, "seconds", None)
    if clock is not None:
        return clock(repeats)
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - start
