"""Dynamic programming: the least total error for every amount of time.

Layer by layer, the best selections so far are extended by each option of the next layer. Of the
results only those matter that no other one beats in both time and error. Where more are left than
buckets, the fastest and the most exact one of each bucket of time stay.

Frantar & Alistarh, "SPDY: Accurate Pruning with Speedup Guarantees", ICML 2022, which rounds times
to buckets; here times stay exact, and so does the result while the states fit in the buckets.
States that differ in which layers are int8 are told apart while others still read these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tvm_sparse.planning.borders import Bits, Meetings, cheapest
from tvm_sparse.planning.problem import Array, Problem, Resource, Selection

Places = npt.NDArray[np.int64]
Kinds = Sequence[npt.NDArray[np.bool_]]  # of each layer, which options are int8

BUCKETS = 10_000
_SLACK = 1 + 1e-9  # sums of floats in another order


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """Selections that no other one beats in both cost and error, the cheapest first.

    Parameters
    ----------
    costs, errors : arrays of shape (states,)
        Costs of the layers alone, without what is fixed. Costs rise, errors fall.
    steps : list of (parents, options), arrays of shape (states of a layer,)
        How each state came about.
    """

    costs: Array
    errors: Array
    steps: list[tuple[Places, Places]]

    def selection(self, limit: float) -> Selection | None:
        """Return the selection of least error that costs no more than a limit; None without one."""
        within = int(np.searchsorted(self.costs, limit * _SLACK, side="right"))
        return self.at(within - 1) if within else None

    def at(self, state: int) -> Selection:
        """Return the selection of a state."""
        chosen: list[int] = []
        for parents, options in reversed(self.steps):
            chosen.append(int(options[state]))
            state = int(parents[state])
        return tuple(reversed(chosen))


@dataclass(frozen=True, kw_only=True)
class _States:
    """Selections of the layers so far, arrays of shape (states,); parents are of the layer before.

    Parameters
    ----------
    costs, errors : array of float
    parents, options : array of int
    """

    costs: Array
    errors: Array
    parents: Places
    options: Places

    def at(self, places: Places) -> _States:
        """Return some of the states."""
        return _States(
            costs=self.costs[places],
            errors=self.errors[places],
            parents=self.parents[places],
            options=self.options[places],
        )


def frontier(
    costs: Sequence[Array],
    errors: Sequence[Array],
    limit: float = np.inf,
    buckets: int = BUCKETS,
    meetings: Meetings | None = None,
    integers: Kinds = (),
) -> Frontier:
    """Return the selections that no other one beats.

    Parameters
    ----------
    costs, errors : sequences of arrays of shape (options,)
        Of each layer's options.
    limit : float
        Selections that must cost more are left out early.
    buckets : int
        How many states are kept at most after each layer.
    meetings : Meetings, optional
        What is to be paid where layers meet.
    integers : sequence of arrays of shape (options,)
        Which options are int8; not needed without `meetings`.
    """
    between = meetings or Meetings((), len(costs))
    kinds = integers or [np.zeros(len(cost), bool) for cost in costs]
    rests = np.cumsum([0.0, *(cost.min() for cost in reversed(costs))])[::-1][1:]
    zero, none = np.zeros(1), np.zeros(1, np.int64)
    known: dict[Bits, _States] = {0: _States(costs=zero, errors=zero, parents=none, options=none)}
    steps = []
    for place, cost in enumerate(costs):
        most = float(limit * _SLACK - rests[place])
        layer = _Layer(place, cost, errors[place], kinds[place], between, most)
        found = layer.extended(known)
        known = {key: _kept(found[key], buckets // len(found)) for key in _fastest(found)}
        every = _joined(list(known.values()))
        steps.append((every.parents, every.options))
    (last,) = known.values()  # nothing is left to be read
    return Frontier(costs=last.costs, errors=last.errors, steps=steps)


@dataclass(frozen=True)
class _Layer:
    """The options of one layer, and how much it may cost with all before it."""

    place: int
    costs: Array
    errors: Array
    integers: npt.NDArray[np.bool_]
    meetings: Meetings
    most: float

    def extended(self, known: dict[Bits, _States]) -> dict[Bits, _States]:
        """Return states with each of the options, by which layers are int8."""
        found: dict[Bits, list[_States]] = {}
        first = 0
        for before, states in known.items():
            for kind in np.unique(self.integers):
                now, extra = self.meetings.step(self.place, before, bool(kind))
                options = np.flatnonzero(self.integers == kind)
                found.setdefault(now, []).append(self._with(options, states, extra, first))
            first += len(states.costs)
        return {now: _joined(parts) for now, parts in found.items()}

    def _with(self, options: Places, states: _States, extra: float, first: int) -> _States:
        """Return states with some of the options, paying something extra."""
        useful = options[_undominated(self.costs[options], self.errors[options], len(options))]
        costs = np.add.outer(states.costs, self.costs[useful] + extra).ravel()
        within = np.flatnonzero(costs <= self.most)
        parents, places = np.divmod(within, len(useful))
        errors = states.errors[parents] + self.errors[useful][places]
        return _States(
            costs=costs[within], errors=errors, parents=parents + first, options=useful[places]
        )


def _joined(parts: Sequence[_States]) -> _States:
    return _States(
        costs=np.concatenate([part.costs for part in parts]),
        errors=np.concatenate([part.errors for part in parts]),
        parents=np.concatenate([part.parents for part in parts]),
        options=np.concatenate([part.options for part in parts]),
    )


def _fastest(found: dict[Bits, _States]) -> list[Bits]:
    """Return the sets of int8 layers to go on with; those that cost too much are left out."""
    costs = {key: float(states.costs.min(initial=np.inf)) for key, states in found.items()}
    return cheapest({key: cost for key, cost in costs.items() if np.isfinite(cost)}) or [*found][:1]


def _kept(states: _States, buckets: int) -> _States:
    return states.at(_undominated(states.costs, states.errors, buckets))


def dynamic_programming(
    problem: Problem, limit: float, resource: Resource = "seconds", buckets: int = BUCKETS
) -> Selection:
    """Return the selection of least error within a limit that `Budget.limit` found possible."""
    left = limit - problem.fixed(resource)
    errors = [slot.errors for slot in problem.slots]
    found = of_problem(problem, errors, left, buckets, resource).selection(left)
    return fastest(problem, resource) if found is None else found


def of_problem(
    problem: Problem,
    errors: Sequence[Array],
    limit: float = np.inf,
    buckets: int = BUCKETS,
    resource: Resource = "seconds",
) -> Frontier:
    """Return the selections of a problem that no other one beats; parameters as for `frontier`."""
    costs = [slot.of(resource) for slot in problem.slots]
    integers = [slot.integers for slot in problem.slots]
    return frontier(costs, errors, limit, buckets, problem.meetings(resource), integers)


def fastest(problem: Problem, resource: Resource = "seconds") -> Selection:
    """Return the selection that takes least of a resource, whatever its error."""
    errors = [np.zeros(len(slot.options)) for slot in problem.slots]
    return of_problem(problem, errors, resource=resource).at(0)


def _undominated(costs: Array, errors: Array, buckets: int) -> npt.NDArray[np.int64]:
    """Return the places of states that no cheaper one equals in error, the cheapest first."""
    order = np.lexsort((errors, costs))
    best = np.minimum.accumulate(np.concatenate([[np.inf], errors[order][:-1]]))
    kept = order[errors[order] < best]
    if len(kept) <= buckets:
        return kept
    low, high = costs[kept[0]], costs[kept[-1]]
    bucket = ((costs[kept] - low) * (buckets // 2 / (high - low))).astype(np.int64)
    ends = np.flatnonzero(np.diff(bucket))
    edges = np.unique(np.concatenate([[0], ends, ends + 1, [len(kept) - 1]]))
    return np.asarray(kept[edges])
