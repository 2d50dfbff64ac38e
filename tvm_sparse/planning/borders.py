"""What it costs where layers in float and layers in int8 meet.

An int8 layer reads bytes. Where floats are written, one kernel makes bytes of them, and whoever
else reads them reads these bytes as floats again. An int8 layer writes bytes with its activation
applied; where all who read it are in float it writes sums, and the activation is a kernel of its
own::

    a (float) → b (int8) → c (int8)      quantize before b
    a (float) → b (int8), c (float)      quantize before b, dequantize before c
    a (int8)  → b (int8), c (float)      dequantize before c
    a (int8)  → b (float)                relu before b

So what a layer's int8 form costs depends on its neighbours. Along the layers it is enough to
remember which of those that are still to be read by others are int8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Bits = int
"""A set of slots, slot n as bit n: those that are int8."""

_MOST = 64  # sets that are told apart at once; those with the fastest selections stay


@dataclass(frozen=True, kw_only=True)
class Border:
    """A tensor between layers, some of which may be int8.

    Parameters
    ----------
    writers : tuple of int
        Places of the slots that compute it; empty if it is float whatever is chosen.
    readers : tuple of int
        Places of the slots that read it.
    floats : bool
        Whether something else reads it that is always float.
    to_bytes, to_floats, activation : float
        Seconds of making bytes of it, floats of its bytes, and of its writer's activation.
    """

    writers: tuple[int, ...]
    readers: tuple[int, ...]
    floats: bool = False
    to_bytes: float = 0.0
    to_floats: float = 0.0
    activation: float = 0.0

    def seconds(self, integers: Bits) -> float:
        """Return what a selection costs here, given which slots are int8."""
        read = [bool(integers >> place & 1) for place in self.readers]
        written = bool(self.writers) and all(integers >> place & 1 for place in self.writers)
        if not any(read):
            return self.activation if written else 0.0
        back = self.to_floats if self.floats or not all(read) else 0.0
        return back + (0.0 if written else self.to_bytes)

    def scaled(self, factor: float) -> Border:
        """Return a border that costs so many times as much."""
        return replace(
            self,
            to_bytes=factor * self.to_bytes,
            to_floats=factor * self.to_floats,
            activation=factor * self.activation,
        )

    @property
    def last(self) -> int:
        """The place from which on the cost is known."""
        return max(*self.writers, *self.readers, -1)


class Meetings:
    """The borders of a network, for going through its slots in order.

    Parameters
    ----------
    borders : iterable of Border
    slots : int
    """

    def __init__(self, borders: Iterable[Border], slots: int) -> None:
        self._closed: list[list[Border]] = [[] for _ in range(slots)]
        self._needed = [0] * slots
        for border in borders:
            self._closed[border.last].append(border)
            members = sum(1 << place for place in {*border.writers, *border.readers})
            for place in range(border.last):
                self._needed[place] |= members & ((2 << place) - 1)

    def step(self, place: int, before: Bits, is_integer: bool) -> tuple[Bits, float]:
        """Return which slots are int8 as far as that still matters, and what is to be paid now.

        Parameters
        ----------
        place : int
            Of the slot that is decided.
        before : int
            What the step before returned; 0 at first.
        is_integer : bool
            Whether the slot is int8.
        """
        now = before | int(is_integer) << place
        return now & self._needed[place], sum(one.seconds(now) for one in self._closed[place])


def least(
    costs: Sequence[npt.NDArray[np.float64]],
    integers: Sequence[npt.NDArray[np.bool_]],
    meetings: Meetings,
) -> float:
    """Return the least cost of any selection.

    Parameters
    ----------
    costs : sequence of arrays of shape (options,)
        Of each slot's options, without borders.
    integers : sequence of arrays of shape (options,)
        Which options are int8.
    meetings : Meetings
    """
    spent: dict[Bits, float] = {0: 0.0}
    for place, (cost, is_integer) in enumerate(zip(costs, integers, strict=True)):
        after: dict[Bits, float] = {}
        for before, so_far in spent.items():
            for kind in np.unique(is_integer):
                now, extra = meetings.step(place, before, bool(kind))
                total = so_far + extra + float(cost[is_integer == kind].min())
                after[now] = min(total, after.get(now, np.inf))
        spent = {key: after[key] for key in cheapest(after)}
    return min(spent.values())


def cheapest(costs: Mapping[Bits, Any]) -> list[Bits]:
    """Return the sets to go on with, by their least costs."""
    return sorted(costs, key=lambda key: (costs[key], key))[:_MOST]
