"""Rounds of measuring a network's kernels, until they agree.

What else runs on the machine takes memory bandwidth and caches: it makes kernels slower, never
faster, some more than others. So each kernel's share of the whole is taken from the faster half of
its rounds. Of the whole, rounds that took a tenth longer than the fastest are left out; kernels add
up to the median of the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from tvm_sparse.profiling.lowered import Called

Times = npt.NDArray[np.float64]

_DISTURBED = 1.1  # times the fastest round, from which one does not count


class Rounds(ABC):
    """Kernels that were built, and the rounds that they ran.

    Parameters
    ----------
    calls : list of Called
        The kernels.
    """

    def __init__(self, calls: list[Called]) -> None:
        self.calls = calls
        self.rounds: list[Times] = []  # the times of each, in seconds, also of disturbed ones

    @abstractmethod
    def run(self) -> None:
        """Run one more round.

        Raises
        ------
        DatabaseError
            If a kernel could not be run.
        DeviceError
            If all boards were lost.
        """

    @abstractmethod
    def remove(self) -> None:
        """Remove what was built."""

    @property
    def sound(self) -> Times:
        """The rounds that were not disturbed, shape (rounds, calls)."""
        rounds = np.array(self.rounds)
        whole = rounds.sum(axis=1)
        return np.asarray(rounds[whole <= _DISTURBED * whole.min()])

    @property
    def seconds(self) -> Times:
        """The time of each kernel, shape (calls,)."""
        shares = self._faster.mean(axis=0)
        return np.asarray(shares * (np.median(self.sound.sum(axis=1)) / shares.sum()))

    @property
    def spreads(self) -> Times:
        """Half of the range of each faster half, as a share of its mean, shape (calls,)."""
        return np.asarray(np.ptp(self._faster, axis=0) / 2 / self._faster.mean(axis=0))

    @property
    def _faster(self) -> Times:
        """The faster half of each kernel's rounds, shape (half of the rounds, calls)."""
        rounds = np.sort(np.array(self.rounds), axis=0)
        return np.asarray(rounds[: (len(rounds) + 1) // 2])

    def steady(self, least: int, spread: float) -> bool:
        """Whether enough rounds agree: in nine tenths of the time up to a spread."""
        if not self.calls:
            return True
        if len(self.rounds) < least:
            return False
        seconds = self.seconds
        return bool(seconds[self.spreads > spread].sum() <= 0.1 * seconds.sum())
