"""Change the densities of a few layers of a selection, so that it takes a little more or less time.

A network whose time was measured is off its prediction by some factor; one that differs in a layer
is off by nearly the same. So its time is known better than that of a selection made anew::

    conv1 one_by_n-4@0.2, conv2 one_by_n-4@0.3     0.103 ms; 0.100 is wanted
    conv1 one_by_n-4@0.2, conv2 one_by_n-4@0.255   0.100 ms
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tvm_sparse.planning.problem import Problem, Selection

_NEAR = 0.005  # of the wanted seconds: how near is near enough


@dataclass(frozen=True)
class _Swap:
    """A selection that differs in one layer: by how much it misses, and what it costs."""

    chosen: Selection
    misses: float
    seconds: float
    error: float

    @property
    def rate(self) -> float:
        """Added error for each second that is won or given back; negative where error is won."""
        return self.error / abs(self.seconds)


def exchanged(problem: Problem, chosen: Selection, seconds: float) -> Selection:
    """Return a selection that takes nearly so many seconds; formats stay.

    Where one layer's other density suffices, it is the one of least error. Else layers change one
    after the other, each time at the least error a second, until one suffices or none gets nearer.

    Parameters
    ----------
    problem : Problem
    chosen : Selection
    seconds : float
        Of the network, as predicted.
    """
    while True:
        left = seconds - problem.total(chosen, "seconds")
        nearer = [one for one in _swaps(problem, chosen, left) if one.misses < abs(left)]
        if not nearer or abs(left) <= _NEAR * seconds:
            return chosen
        enough = [one for one in nearer if one.misses <= _NEAR * seconds]
        short = [one for one in nearer if abs(one.seconds) <= abs(left)]
        if enough:
            return min(enough, key=lambda one: one.error).chosen
        if not short:
            return min(nearer, key=lambda one: one.misses).chosen
        chosen = min(short, key=lambda one: one.rate).chosen


def _swaps(problem: Problem, chosen: Selection, left: float) -> Iterator[_Swap]:
    """Yield the selections with another density of one layer that are faster, or slower, as asked.

    `left` is how many seconds more there may be; negative, if there must be fewer.
    """
    for place, (slot, at) in enumerate(zip(problem.slots, chosen, strict=True)):
        now = slot.options[at]
        form = replace(now.scheme, density=1.0)
        for number, other in enumerate(slot.options):
            change = other.seconds - now.seconds
            if change * left > 0 and replace(other.scheme, density=1.0) == form:
                swapped = (*chosen[:place], number, *chosen[place + 1 :])
                yield _Swap(swapped, abs(left - change), change, other.error - now.error)
