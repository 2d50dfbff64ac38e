"""One scheme for all layers, as dense as the limit allows: what other strategies must beat."""

from __future__ import annotations

from collections.abc import Iterator

from tvm_sparse.errors import PlanError
from tvm_sparse.planning.problem import Problem, Selection
from tvm_sparse.planning.strategies import Task
from tvm_sparse.scheme import Scheme

Form = tuple[str, tuple[int, ...], int]
"""A format, its block, and bits."""


def uniform(task: Task) -> Selection:
    """Return the best selection of one format, block and density for all layers.

    Layers that a format does not suit stay dense.

    Raises
    ------
    PlanError
        If no single scheme keeps to the limit.
    """
    found = list(densest(task).values())
    if not found:
        raise PlanError(
            "no single scheme for all layers keeps to the budget; allow more, or use the "
            "strategy search or dp"
        )
    return min(found, key=task.badness)


def densest(task: Task) -> dict[Form, Selection]:
    """Return, for each format, block and bits, its densest selection that keeps to the limit."""
    found: dict[Form, Selection] = {}
    for form, density in _offered(task.problem):
        if form in found:
            continue
        chosen = everywhere(task.problem, form, density)
        if task.fits(chosen):
            found[form] = chosen
    return found


def everywhere(problem: Problem, form: Form, density: float) -> Selection:
    """Return the selection that gives every layer one scheme where it is offered."""
    chosen = []
    for slot in problem.slots:
        at = [i for i, one in enumerate(slot.options) if _is(one.scheme, form, density)]
        chosen.append(at[0] if at else 0)
    return tuple(chosen)


def _offered(problem: Problem) -> Iterator[tuple[Form, float]]:
    """Yield formats with blocks and bits, and densities, the largest densities first."""
    schemes = {option.scheme for slot in problem.slots for option in slot.options[1:]}
    for scheme in sorted(schemes, key=lambda one: (-one.density, str(one))):
        yield (scheme.format, scheme.block, scheme.bits), scheme.density


def _is(scheme: Scheme, form: Form, density: float) -> bool:
    return (scheme.format, scheme.block, scheme.bits, scheme.density) == (*form, density)
