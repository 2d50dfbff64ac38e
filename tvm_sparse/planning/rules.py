"""Choose by rules, without training: the smallest block that is about as fast as structure is.

Gong et al., "Automatic Mapping of the Best-Suited DNN Pruning Schemes for Real-Time Mobile
Acceleration", ACM TODAES 2022: depthwise layers are left alone; 3×3 convolutions are pruned by
patterns where the data are hard, else in blocks; all others in the smallest block whose latency is
within a fifth of that of the layer with fewer filters, at the same compression. The compression is
the least that the budget allows.
"""

from __future__ import annotations

from tvm_sparse.errors import PlanError
from tvm_sparse.planning.problem import Problem, Selection, Slot
from tvm_sparse.planning.storage import together
from tvm_sparse.planning.strategies import Task

BETA = 0.2
"""By which share a block's latency may exceed the structured layer's."""


def rules(task: Task) -> Selection:
    """Return the selection that the rules make at the least compression within the limit.

    Raises
    ------
    PlanError
        If the rules' schemes do not reach the limit.
    """
    problem, denser = task.problem, task.problem.dense
    for density in _densities(problem):
        chosen = tuple(_rule(slot, density, task.difficulty) for slot in problem.slots)
        if task.fits(chosen):
            return _relaxed(task, chosen, denser)
        denser = chosen
    fastest = problem.total(problem.dense, task.resource) / problem.total(denser, task.resource)
    raise PlanError(
        f"the rules reach {fastest:.2f}x at most: ask for less, offer smaller densities, or use "
        "the strategy search or dp"
    )


def _rule(slot: Slot, density: float, difficulty: str) -> int:
    """Return the option that the rules choose for a layer at a density."""
    at = [i for i, o in enumerate(slot.options) if i and o.scheme.density == density]
    patterns = [i for i in at if slot.options[i].scheme.format == "pattern"]
    blocks = [i for i in at if i not in patterns]
    if slot.layer.depthwise or not at:
        return 0
    if slot.layer.kernel == (3, 3) and patterns and (difficulty == "hard" or not blocks):
        return patterns[0]
    return _smallest_block(slot, blocks, density)


def _smallest_block(slot: Slot, blocks: list[int], density: float) -> int:
    """Return the smallest block within `BETA` of the structured layer, else the fastest."""
    if not blocks:
        return 0
    seconds = {i: slot.options[i].seconds for i in blocks}
    structured = slot.structured.get(density, min(seconds.values()))
    fast = [i for i in blocks if seconds[i] <= (1 + BETA) * structured]
    if not fast:
        return min(blocks, key=lambda i: seconds[i])
    return min(fast, key=lambda i: (together(slot.layer, slot.options[i].scheme), seconds[i]))


def _densities(problem: Problem) -> list[float]:
    """Return the densities that are offered, the largest first."""
    found = {option.scheme.density for slot in problem.slots for option in slot.options[1:]}
    return sorted(found, reverse=True)


def _relaxed(task: Task, chosen: Selection, denser: Selection) -> Selection:
    """Return a selection with as many layers at the next compression as the limit still allows.

    The layers that gain least by the last step go back first.
    """
    slots = task.problem.slots
    gains = [
        slot.of(task.resource)[b] - slot.of(task.resource)[a]
        for slot, a, b in zip(slots, chosen, denser, strict=True)
    ]
    found = chosen
    for place in sorted(range(len(slots)), key=lambda i: gains[i]):
        back = (*found[:place], denser[place], *found[place + 1 :])
        found = back if task.fits(back) else found
    return found
