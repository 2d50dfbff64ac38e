"""Rounds of measuring a network's kernels, until they agree.

Rounds that something else disturbed are left out: those whose kernels took a tenth longer together
than in the fastest round.
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
        """The median of each kernel, shape (calls,)."""
        return np.asarray(np.median(self.sound, axis=0))

    @property
    def spreads(self) -> Times:
        """Half of each kernel's interquartile range, as a share of the median, shape (calls,)."""
        low, high = np.percentile(self.sound, [25, 75], axis=0)
        return np.asarray((high - low) / 2 / self.seconds)

    def steady(self, least: int, spread: float) -> bool:
        """Whether enough rounds agree: in nine tenths of the time up to a spread."""
        if not self.calls:
            return True
        if len(self.rounds) < least or len(self.sound) < least:
            return False
        seconds = self.seconds
        return bool(seconds[self.spreads > spread].sum() <= 0.1 * seconds.sum())
