"""Dynamic programming: the least total error for every amount of time.

Layer by layer, the best selections so far are extended by each option of the next layer. Of the
results only those matter that no other one beats in both time and error. Where more are left than
buckets, the fastest and the most exact one of each bucket of time stay.

Frantar & Alistarh, "SPDY: Accurate Pruning with Speedup Guarantees", ICML 2022, which rounds times
to buckets; here times stay exact, and so does the result while the states fit in the buckets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tvm_sparse.planning.problem import Array, Problem, Resource, Selection

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
    steps: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]

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


def frontier(
    costs: Sequence[Array],
    errors: Sequence[Array],
    limit: float = np.inf,
    buckets: int = BUCKETS,
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
    """
    rests = np.cumsum([0.0, *(cost.min() for cost in reversed(costs))])[::-1][1:]
    cost, error = np.zeros(1), np.zeros(1)
    steps = []
    for layer_costs, layer_errors, rest in zip(costs, errors, rests, strict=True):
        useful = _undominated(layer_costs, layer_errors, len(layer_costs))
        summed = np.add.outer(cost, layer_costs[useful]).ravel()
        wrong = np.add.outer(error, layer_errors[useful]).ravel()
        within = np.flatnonzero(summed <= limit * _SLACK - rest)
        kept = within[_undominated(summed[within], wrong[within], buckets)]
        parents, options = np.divmod(kept, len(useful))
        steps.append((parents, useful[options]))
        cost, error = summed[kept], wrong[kept]
    return Frontier(costs=cost, errors=error, steps=steps)


def dynamic_programming(
    problem: Problem, limit: float, resource: Resource = "seconds", buckets: int = BUCKETS
) -> Selection:
    """Return the selection of least error within a limit that `Budget.limit` found possible."""
    costs = [slot.of(resource) for slot in problem.slots]
    errors = [slot.errors for slot in problem.slots]
    left = limit - problem.fixed(resource)
    found = frontier(costs, errors, left, buckets).selection(left)
    return cheapest(problem, resource) if found is None else found


def cheapest(problem: Problem, resource: Resource = "seconds") -> Selection:
    """Return the selection that takes least of a resource, whatever its error."""
    return tuple(int(np.argmin(slot.of(resource))) for slot in problem.slots)


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
