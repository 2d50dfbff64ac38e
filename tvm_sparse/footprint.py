"""What a compiled model moves and keeps in memory, besides computing its layers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Layout conversions and memory of one run; all sizes in bytes.

    Parameters
    ----------
    conversions : int
        Kernels that only move a tensor into another layout and compute nothing: transposes, and
        reshapes that really copy. Views are none.
    activations : int
        The most that tensors between kernels, and outputs, take at the same time, as planned.
        Inputs belong to the caller.
    unshared : int
        What they would take if each had memory of its own.
    workspace : int
        The most that one kernel allocates for itself on all threads: packed tiles of its input and
        sums that await their epilogue. Registers and what is spilled from them do not count.
    constants : int
        Weights, indices, biases and tables, each once.
    """

    conversions: int
    activations: int
    unshared: int
    workspace: int
    constants: int

    def __str__(self) -> str:
        """Return a line on layout conversions and one on memory."""
        plural = "" if self.conversions == 1 else "s"
        return (
            f"{self.conversions or 'no'} layout conversion{plural} between kernels\n"
            f"memory: {_kib(self.activations)} of activations at most "
            f"({_kib(self.unshared)} if none were shared), "
            f"{_kib(self.workspace)} within a kernel (packed inputs, sums), "
            f"{_kib(self.constants)} of constants"
        )


def _kib(nbytes: int) -> str:
    return f"{nbytes / 1024:.0f} KiB"
