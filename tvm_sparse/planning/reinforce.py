"""Learn which format and block each layer gets, by trying.

A controller draws a format with its block for every layer; densities follow by dynamic programming,
so that every network that is tried keeps to the limit. What is worse than usual gets less likely.

Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement
Learning", Machine Learning 1992; Gong et al., "Automatic Mapping of the Best-Suited DNN Pruning
Schemes for Real-Time Mobile Acceleration", ACM TODAES 2022, for a layer's action.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tvm_sparse.planning.frontier import frontier
from tvm_sparse.planning.problem import Array, Selection, Slot
from tvm_sparse.planning.search import starts
from tvm_sparse.planning.strategies import Task

_BUCKETS = 1000
_RATE = 0.6  # of the logits, for an advantage of one deviation
_MEMORY = 0.9  # of the running mean and deviation of scores


def reinforce(task: Task) -> Selection:
    """Return the best selection that was tried; without a score, its badness is the error."""
    scored = {chosen: task.badness(chosen) for chosen in starts(task)}
    controller = _Controller([_forms(slot) for slot in task.problem.slots])
    rng = np.random.default_rng(task.seed)
    for trial in range(task.trials):
        task.tell("learning formats", trial, task.trials)
        actions = controller.draw(rng)
        chosen = _selection(task, controller.forms, actions)
        if chosen is not None and chosen not in scored:
            scored[chosen] = task.badness(chosen)
        worst = 2 * max(scored.values())
        controller.learn(actions, worst if chosen is None else scored[chosen])
    task.tell("learning formats", task.trials, task.trials)
    return min(scored, key=lambda chosen: scored[chosen])


Form = list[int]
"""The options of one format, block and bits, the dense one among them."""


@dataclass
class _Controller:
    """Draws a form for each layer, each by logits of its own.

    Parameters
    ----------
    forms : list of list of Form
        A layer's forms.
    """

    forms: list[list[Form]]
    logits: list[Array] = field(init=False)
    mean: float = np.nan
    variance: float = 0.0

    def __post_init__(self) -> None:
        """Begin with equal odds."""
        self.logits = [np.zeros(len(forms)) for forms in self.forms]

    def draw(self, rng: np.random.Generator) -> list[int]:
        """Return the place of each layer's form."""
        return [int(rng.choice(len(one), p=_odds(one))) for one in self.logits]

    def learn(self, actions: Sequence[int], score: float) -> None:
        """Make actions less likely whose score is higher than usual, others more."""
        if np.isnan(self.mean):
            self.mean = score
            return
        advantage = (self.mean - score) / max(np.sqrt(self.variance), 1e-3 * abs(self.mean), 1e-12)
        for logits, action in zip(self.logits, actions, strict=True):
            gradient = -_odds(logits)
            gradient[action] += 1
            logits += _RATE * float(np.clip(advantage, -2, 2)) * gradient
        self.variance = _MEMORY * self.variance + (1 - _MEMORY) * (score - self.mean) ** 2
        self.mean = _MEMORY * self.mean + (1 - _MEMORY) * score


def _odds(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max())
    return np.asarray(shifted / shifted.sum())


def _forms(slot: Slot) -> list[Form]:
    """Return a layer's forms; only the dense option where nothing else is offered."""
    found: dict[tuple[str, tuple[int, ...], int], Form] = {}
    for at, option in enumerate(slot.options):
        if at:
            scheme = option.scheme
            found.setdefault((scheme.format, scheme.block, scheme.bits), [0]).append(at)
    return list(found.values()) or [[0]]


def _selection(
    task: Task, forms: Sequence[Sequence[Form]], actions: Sequence[int]
) -> Selection | None:
    """Return the densities of least error under forms; None if these are too slow."""
    left = task.limit - task.problem.fixed(task.resource)
    allowed = [layer[action] for layer, action in zip(forms, actions, strict=True)]
    both = list(zip(task.problem.slots, allowed, strict=True))
    costs = [slot.of(task.resource)[form] for slot, form in both]
    errors = [slot.errors[form] for slot, form in both]
    integers = [slot.integers[form] for slot, form in both]
    meetings = task.problem.meetings(task.resource)
    found = frontier(costs, errors, left, _BUCKETS, meetings, integers).selection(left)
    return None if found is None else tuple(f[at] for f, at in zip(allowed, found, strict=True))
