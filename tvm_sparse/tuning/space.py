"""What may be decided about a layer's kernel, and how likely each decision is to be a good one.

A kernel's algorithm depends on how it is cut: the packed input and the padded extents follow from
the tile. So a sample does not rewrite loops; it decides on a tile, and the kernel is made for it::

    registers = sample(402, 403, 806, …)     filters × vectors of the register tile
    plane     = sample(70, 140, 560, …)      rows or positions of a tile, read in place or not
    chunk     = sample(16, 32, 64, …)        at most so many rows are computed, then stored
    direct    = sample(0, 1)                 stored from registers or not
    slices    = sample(0, 1)                 channels in slices that stay in L1, or not
    parallel  = sample(0, 1)                 threads divide tiles, or chunks of filters

Values are the sizes themselves, and not their place in a list, so that records outlive changes of
the lists. Every decision has the odds that the cost formula gives its best kernel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tvm_sparse.cost import Work
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

Point = dict[str, int]  # a value for every decision

SLOWEST = 1.6  # of the best predicted time; what is slower by the formula is not tried
_MOST = 32  # values of a decision
_TRUST = 4.0  # odds fall with this power of the predicted time


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One sampled decision.

    Parameters
    ----------
    name : str
    values : tuple of int
    odds : tuple of float
        Of equal length, their sum is 1.
    """

    name: str
    values: tuple[int, ...]
    odds: tuple[float, ...]

    @classmethod
    def among(cls, name: str, values: Iterable[int]) -> Decision:
        """Return a decision among values of which nothing is known."""
        ordered = tuple(sorted(set(values)))
        return cls(name=name, values=ordered, odds=(1 / len(ordered),) * len(ordered))

    @classmethod
    def by_seconds(cls, name: str, seconds: Mapping[int, float], own: int) -> Decision:
        """Return a decision among values whose best predicted times are given.

        The value `own` of the cost formula's choice is always among them.
        """
        best = min(seconds.values())
        kept = sorted(seconds, key=lambda value: (value != own, seconds[value]))[:_MOST]
        fast = {value for value in kept if seconds[value] <= SLOWEST * best}
        values = tuple(sorted({own, *fast}))
        chances = [(best / seconds[value]) ** _TRUST for value in values]
        return cls(name=name, values=values, odds=tuple(c / sum(chances) for c in chances))


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A point of one of several spaces.

    Parameters
    ----------
    space : str
        See `Space.name`.
    point : dict of str to int
    """

    space: str
    point: Point


@dataclass(frozen=True, kw_only=True)
class Space(ABC):
    """The kernels of one family for one way to store a layer's weight.

    Parameters
    ----------
    layer : Layer
    used : Scheme
        How the weight is stored, or its core.
    work : Work
        What the best kernel multiplies.
    target : Target
    """

    layer: Layer
    used: Scheme
    work: Work
    target: Target

    @property
    @abstractmethod
    def family(self) -> str:
        """How the family of kernels is called in records."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What the decisions are called, in order."""

    @property
    @abstractmethod
    def decisions(self) -> tuple[Decision, ...]:
        """What is sampled, in order."""

    @abstractmethod
    def kernel(self, point: Point) -> Kernel | None:
        """Return the kernel of a point; None if its decisions do not fit together."""

    def refusal(self, point: Point) -> str:
        """Return why a point is no kernel; empty if it is one."""
        return "" if self.kernel(point) else "its decisions do not fit together"

    @abstractmethod
    def point(self, kernel: Kernel) -> Point:
        """Return the decisions that make a kernel of the family."""

    @property
    def rest(self) -> Scheme | None:
        """How weights outside of a core are stored, if there are any."""
        return None

    @property
    def name(self) -> str:
        """Return e.g. ``tiles one_by_n-4``."""
        return f"{self.family} {str(self.used).split('@')[0]}"

    @cached_property
    def seconds(self) -> float:
        """Predicted time of the best kernel."""
        return self.best.seconds

    @property
    @abstractmethod
    def best(self) -> Kernel:
        """The kernel that the cost formula likes best."""


@dataclass(frozen=True, kw_only=True)
class Listed(Space):
    """A space of so few kernels that all of them are predicted beforehand."""

    @abstractmethod
    def kernels(self) -> Iterable[Kernel]:
        """Return every kernel but the best, which need not be among them."""

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """What tells the kernels apart, by the best that each value allows."""
        best: dict[str, dict[int, float]] = {name: {} for name in self.names}
        for values, kernel in self._known.items():
            for name, value in zip(self.names, values, strict=True):
                known = best[name].get(value, kernel.seconds)
                best[name][value] = min(kernel.seconds, known)
        own = self.point(self.best)
        return tuple(Decision.by_seconds(name, best[name], own[name]) for name in self.names)

    def kernel(self, point: Point) -> Kernel | None:
        """Return the kernel of a point; None if there is none."""
        return self._known.get(tuple(point[name] for name in self.names))

    @cached_property
    def _known(self) -> dict[tuple[int, ...], Kernel]:
        found: dict[tuple[int, ...], Kernel] = {}
        for kernel in (self.best, *self.kernels()):
            point = self.point(kernel)
            found.setdefault(tuple(point[name] for name in self.names), kernel)
        return found
