"""What there is to choose from: the options of every layer, with their times, bytes and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from tvm_sparse import words
from tvm_sparse.latency import DENSE
from tvm_sparse.layer import Layer
from tvm_sparse.planning import borders
from tvm_sparse.planning.borders import Border, Meetings
from tvm_sparse.scheme import Scheme

Array = npt.NDArray[np.float64]
Selection = tuple[int, ...]
"""The chosen option of each slot, by its place among the slot's options."""

Resource = Literal["seconds", "nbytes"]


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to prune a layer.

    Parameters
    ----------
    scheme : Scheme
        Its bits are those of weights; of 8, inputs are bytes as well.
    seconds : float
        How long the layer takes.
    error : float
        What pruning costs; the error of a network counts as the sum over its layers.
    nbytes : int
        Stored weights and indices.
    measured : bool
        Whether the time was measured, and not predicted.
    """

    scheme: Scheme
    seconds: float
    error: float
    nbytes: int
    measured: bool = False


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A layer, and its options; layers that are computed as one, or lose channels as one, are one.

    Parameters
    ----------
    names : tuple of str
        What the model calls the layer, or the layers that are decided together.
    layer : Layer
    options : tuple of Option
        The dense one first.
    structured : mapping of float to float
        By density: seconds of the dense layer with that share of its filters.
    chained : tuple of str
        Of `names`, those that whole channels are removed from because the last one does not read
        them. Other formats prune them too, but for depthwise ones.
    depthwise : tuple of str
        Of `names`, those that stay dense.
    """

    names: tuple[str, ...]
    layer: Layer
    options: tuple[Option, ...]
    structured: Mapping[float, float] = field(default_factory=dict, hash=False)
    chained: tuple[str, ...] = ()
    depthwise: tuple[str, ...] = ()

    def pruned(self, scheme: Scheme) -> tuple[str, ...]:
        """Return the layers whose weights a scheme prunes."""
        left = (*self.depthwise, *(self.chained if scheme.format == "channel" else ()))
        return tuple(name for name in self.names if name not in left)

    def scaled(self, factor: float) -> Slot:
        """Return a layer that takes so many times as long."""
        return replace(
            self,
            options=tuple(replace(one, seconds=factor * one.seconds) for one in self.options),
            structured={density: factor * one for density, one in self.structured.items()},
        )

    def of(self, resource: Resource) -> Array:
        """Return what each option takes of a resource, shape (options,)."""
        return np.array([getattr(option, resource) for option in self.options], np.float64)

    @property
    def errors(self) -> Array:
        """The error of each option, shape (options,)."""
        return np.array([option.error for option in self.options], np.float64)

    @property
    def integers(self) -> npt.NDArray[np.bool_]:
        """Whether each option is int8, shape (options,)."""
        return np.array([option.scheme.bits == words.BITS for option in self.options])


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A network's layers with their options.

    Parameters
    ----------
    slots : tuple of Slot
        In the order of execution.
    rest : float
        Seconds of what no plan changes.
    links : tuple of (int, int)
        Places of slots of which the second reads what the first computed, with nothing but other
        operators in between; empty if that is not known.
    borders : tuple of Border
        Tensors that cost time where float and int8 layers meet.
    """

    slots: tuple[Slot, ...]
    rest: float = 0.0
    links: tuple[tuple[int, int], ...] = ()
    borders: tuple[Border, ...] = ()

    @property
    def dense(self) -> Selection:
        """The selection that prunes nothing."""
        return (0,) * len(self.slots)

    def fixed(self, resource: Resource) -> float:
        """Return what is taken of a resource whatever is chosen."""
        return self.rest if resource == "seconds" else 0.0

    def total(self, chosen: Sequence[int], resource: Resource) -> float:
        """Return what a selection takes of a resource, with what is fixed."""
        options = self.options(chosen)
        taken = float(sum(getattr(option, resource) for option in options))
        whole = [int(option.scheme.bits == words.BITS) for option in options]
        integers = sum(kind << place for place, kind in enumerate(whole))
        met = sum(border.seconds(integers) for border in self._borders(resource))
        return self.fixed(resource) + taken + met

    def meetings(self, resource: Resource) -> Meetings:
        """Return what a resource is spent on besides slots, for going through these in order."""
        return Meetings(self._borders(resource), len(self.slots))

    def alone(self, resource: Resource) -> list[Array]:
        """Return what each slot's options take at most, whatever its neighbours are.

        All that an int8 option may have to convert is its own then: sums are no less than `total`.
        """
        costs = [slot.of(resource) for slot in self.slots]
        for border in self._borders(resource):
            both = border.to_bytes + border.to_floats
            for place in set(border.readers):
                costs[place] += both * self.slots[place].integers
            for place in set(border.writers):
                costs[place] += border.activation * self.slots[place].integers
        return costs

    def _borders(self, resource: Resource) -> tuple[Border, ...]:
        return self.borders if resource == "seconds" else ()

    def error(self, chosen: Sequence[int]) -> float:
        """Return the error of a selection."""
        return float(sum(option.error for option in self.options(chosen)))

    def options(self, chosen: Sequence[int]) -> list[Option]:
        """Return the chosen options, a slot each."""
        return [slot.options[at] for slot, at in zip(self.slots, chosen, strict=True)]

    def schemes(self, chosen: Sequence[int]) -> dict[str, Scheme]:
        """Return the scheme of each layer that a selection prunes, or computes in fewer bits."""
        return {
            name: option.scheme
            for slot, option in zip(self.slots, self.options(chosen), strict=True)
            for name in slot.pruned(option.scheme)
            if option.scheme != DENSE
        }

    def least(self, resource: Resource) -> float:
        """Return the least that any selection takes of a resource."""
        costs = [slot.of(resource) for slot in self.slots]
        integers = [slot.integers for slot in self.slots]
        return self.fixed(resource) + borders.least(costs, integers, self.meetings(resource))

    def scaled(self, factor: float) -> Problem:
        """Return the same network on a machine that takes so many times as long."""
        return replace(
            self,
            slots=tuple(slot.scaled(factor) for slot in self.slots),
            rest=factor * self.rest,
            borders=tuple(border.scaled(factor) for border in self.borders),
        )

    @property
    def reach(self) -> float:
        """The largest speed-up over the dense network that the options allow."""
        return self.total(self.dense, "seconds") / self.least("seconds")
