"""Search coefficients of the layers' errors; dynamic programming does the rest.

Errors of layers do not simply add up: those before a bottleneck count more. So each is multiplied
by a coefficient, and coefficients are searched for by how bad the network is that the best
selection under them leads to: random starts, then changes of ever fewer coefficients.

Frantar & Alistarh, "SPDY: Accurate Pruning with Speedup Guarantees", ICML 2022. Here the
coefficients scale errors that were measured, and the search begins where all are 1; what the rules
and the best uniform scheme choose is scored as well, and kept where it is better.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tvm_sparse.errors import PlanError
from tvm_sparse.planning import rules, uniform
from tvm_sparse.planning.frontier import dynamic_programming, of_problem
from tvm_sparse.planning.problem import Array, Selection
from tvm_sparse.planning.strategies import Task

_BUCKETS = 1000  # of the programs that are solved on the way
_SPREAD = 1.5  # of the logarithms of random coefficients
_STARTS = 0.4  # share of the trials that are random starts
_PATIENCE = 0.2  # share of the trials without success after which fewer coefficients change


def search(task: Task) -> Selection:
    """Return the best selection found; without a score, that of `dynamic_programming`."""
    exact, *others = starts(task)
    if task.score is None:
        return exact
    state = _Search(task)
    state.consider(np.ones(len(task.problem.slots)), exact)
    for chosen in others:
        state.consider(None, chosen)
    state.run()
    return state.best


def starts(task: Task) -> list[Selection]:
    """Return what strategies choose that do not search, where they find something.

    The one with the least sum of errors comes first.
    """
    found = [dynamic_programming(task.problem, task.limit, task.resource)]
    for strategy in (rules.rules, uniform.uniform):
        try:
            found.append(strategy(task))
        except PlanError:
            continue
    return found


@dataclass
class _Search:
    """The best selection so far, and the coefficients that lead to it."""

    task: Task
    best: Selection = ()
    score: float = np.inf
    center: Array = field(default_factory=lambda: np.ones(0))
    center_score: float = np.inf
    scores: dict[Selection, float] = field(default_factory=dict)

    def run(self) -> None:
        """Try random coefficients, then changes of the best ones."""
        task, rng = self.task, np.random.default_rng(self.task.seed)
        number = len(task.problem.slots)
        changed, failures = max(2, round(0.2 * number)), 0
        for trial in range(task.trials):
            task.tell("searching", trial, task.trials)
            drawn = np.exp(_SPREAD * rng.standard_normal(number))
            if trial >= _STARTS * task.trials:
                kept = np.ones(number, bool)
                kept[rng.choice(number, min(changed, number), replace=False)] = False
                drawn = np.where(kept, self.center, drawn)
            better = self.consider(drawn, self._selection(drawn))
            failures = 0 if better else failures + 1
            if failures > _PATIENCE * task.trials and changed > 1:
                changed, failures = changed - 1, 0
        task.tell("searching", task.trials, task.trials)

    def consider(self, coefficients: Array | None, chosen: Selection) -> bool:
        """Score a selection; return whether its coefficients are the best so far."""
        if chosen not in self.scores:
            self.scores[chosen] = self.task.badness(chosen)
        score = self.scores[chosen]
        if score < self.score:
            self.best, self.score = chosen, score
        if coefficients is None or score >= self.center_score:
            return False
        self.center, self.center_score = coefficients, score
        return True

    def _selection(self, coefficients: Array) -> Selection:
        task = self.task
        left = task.limit - task.problem.fixed(task.resource)
        errors = [c * slot.errors for c, slot in zip(coefficients, task.problem.slots, strict=True)]
        states = of_problem(task.problem, errors, left, _BUCKETS, task.resource)
        found = states.selection(left)
        return self.best if found is None else found
