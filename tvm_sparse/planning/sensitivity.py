"""What it costs to prune each layer by each scheme: asked for at a few densities, and kept.

An error is a number of at least 0, where 0 is no change; those of a network's layers are summed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace

import numpy as np

from tvm_sparse.formats.protocol import Weight
from tvm_sparse.planning import curves
from tvm_sparse.planning.problem import Problem, Slot
from tvm_sparse.planning.rounding import changed
from tvm_sparse.planning.strategies import Tell, silent
from tvm_sparse.scheme import Scheme

Errors = Callable[[str, Scheme], float]
"""Takes a layer's name and a scheme, and returns what pruning the layer so costs."""

_ASKED = 6  # densities of a format that are asked for; others are between them


def with_errors(
    problem: Problem,
    errors: Errors,
    known: MutableMapping[tuple[str, str], float] | None = None,
    tell: Tell = silent,
) -> Problem:
    """Return a problem whose options have errors.

    Parameters
    ----------
    problem : Problem
    errors : callable
    known : mapping of (name, scheme) to float, optional
        Errors that were found before are not asked for again; new ones are added.
    tell : callable
    """
    stored = {} if known is None else known
    asked = {slot.names: _asked(slot) for slot in problem.slots}
    total = sum(len(slot.pruned(one)) for slot in problem.slots for one in asked[slot.names])
    done, found = 0, {}
    for slot in problem.slots:
        for scheme in asked[slot.names]:
            for name in slot.pruned(scheme):
                tell(f"sensitivity of {name}", done, total)
                place = name, str(scheme)
                if place not in stored:
                    stored[place] = errors(name, scheme)
                done += 1
            errors_of = (stored[name, str(scheme)] for name in slot.pruned(scheme))
            found[slot.names, scheme] = sum(errors_of)
    tell("sensitivity", total, total)
    slots = (
        _filled(slot, {s: found[slot.names, s] for s in asked[slot.names]})
        for slot in problem.slots
    )
    return replace(problem, slots=tuple(slots))


def removed_magnitude(weights: Mapping[str, Weight]) -> Errors:
    """Return errors that need no data: the share of a weight's squares that is lost.

    Pruning loses them, and so does rounding; that inputs are rounded too is left out.

    Parameters
    ----------
    weights : mapping of str to array
        By layer, filters first.
    """

    def error(name: str, scheme: Scheme) -> float:
        weight = weights[name]
        lost = weight - changed(weight, scheme)
        return float(np.square(lost).sum() / np.square(weight).sum())

    return error


def _forms(slot: Slot) -> dict[Scheme, list[float]]:
    """Return the densities of each format and block that a slot offers."""
    found: dict[Scheme, list[float]] = {}
    for option in slot.options[1:]:
        found.setdefault(replace(option.scheme, density=1.0), []).append(option.scheme.density)
    return found


def _asked(slot: Slot) -> Sequence[Scheme]:
    return [
        replace(form, density=density)
        for form, densities in _forms(slot).items()
        for density in curves.anchors(densities, _ASKED)
    ]


def _filled(slot: Slot, known: Mapping[Scheme, float]) -> Slot:
    """Return a slot whose options have errors, from those at some densities."""
    errors: dict[Scheme, float] = {}
    for form, densities in _forms(slot).items():
        points = {s.density: e for s, e in known.items() if replace(s, density=1.0) == form}
        for density, error in zip(densities, curves.between(points, densities), strict=True):
            errors[replace(form, density=density)] = float(error)
    options = tuple(replace(o, error=errors.get(o.scheme, 0.0)) for o in slot.options)
    return replace(slot, options=options)
