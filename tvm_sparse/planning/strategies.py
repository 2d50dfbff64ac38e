"""The ways to choose, by name, behind one interface.

A strategy takes a `Task` and returns a selection that keeps to its limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from tvm_sparse.errors import PlanError
from tvm_sparse.planning.problem import Problem, Resource, Selection

Score = Callable[[Selection], float]
"""How bad a selection is: the loss of the network that is pruned so, without training."""

Tell = Callable[[str, int, int], None]
"""Takes what runs now, how much of it is done, and how much there is."""


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a strategy is asked for.

    Parameters
    ----------
    problem : Problem
    limit : float
        Seconds or bytes of the network, as `Budget.limit` returns them.
    resource : {"seconds", "nbytes"}
    score : callable, optional
        Without it, the sum of the layers' errors is all that is known.
    trials : int
        How often a strategy that searches may score.
    seed : int
    difficulty : {"easy", "hard"}
        Of the data; rules prune 3×3 kernels by patterns where it is hard.
    policy : Path, optional
        Where ``agmc`` reads and writes what it learns.
    tell : callable
    """

    problem: Problem
    limit: float
    resource: Resource = "seconds"
    score: Score | None = None
    trials: int = 200
    seed: int = 0
    difficulty: Literal["easy", "hard"] = "easy"
    policy: Path | None = None
    tell: Tell = silent

    def fits(self, chosen: Selection) -> bool:
        """Whether a selection keeps to the limit."""
        return self.problem.total(chosen, self.resource) <= self.limit * (1 + 1e-9)

    def badness(self, chosen: Selection) -> float:
        """Return a selection's score, or the sum of its errors."""
        return self.problem.error(chosen) if self.score is None else self.score(chosen)


Strategy = Callable[[Task], Selection]


def names() -> tuple[str, ...]:
    """Return the names of all strategies, the default first."""
    return tuple(_strategies())


def get(name: str) -> Strategy:
    """Return a strategy.

    Raises
    ------
    PlanError
        If there is none of that name.
    """
    known = _strategies()
    if name not in known:
        raise PlanError(f"unknown strategy {name!r}; expected one of {', '.join(known)}")
    return known[name]


def _strategies() -> dict[str, Strategy]:
    from tvm_sparse.planning import frontier, reinforce, rules, search, uniform

    def exact(task: Task) -> Selection:
        return frontier.dynamic_programming(task.problem, task.limit, task.resource)

    def learned(task: Task) -> Selection:
        return import_module("tvm_sparse.planning.ddpg").ddpg(task)  # type: ignore[no-any-return]

    def of_graph(task: Task) -> Selection:
        return import_module("tvm_sparse.planning.agmc").agmc(task)  # type: ignore[no-any-return]

    return {
        "search": search.search,
        "dp": exact,
        "rules": rules.rules,
        "reinforce": reinforce.reinforce,
        "ddpg": learned,
        "agmc": of_graph,
        "uniform": uniform.uniform,
    }
