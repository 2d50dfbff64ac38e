"""What measured plans teach about the predictions of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

from tvm_sparse.planning.plan import Plan
from tvm_sparse.scheme import Scheme

_NEAREST = 0.05  # a distance that counts as none
_DENSE = 1.0  # the distance of the dense network, whose prediction is right by definition


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A plan that was measured.

    Parameters
    ----------
    schemes : mapping of str to Scheme
        Of each layer that it prunes or rounds.
    off : float
        Measured over predicted time.
    """

    schemes: Mapping[str, Scheme]
    off: float

    @classmethod
    def of(cls, tried: Mapping[str, Any]) -> Lesson:
        """Return what a try of a run's folder teaches."""
        schemes = {name: Scheme.parse(text) for name, text in tried["schemes"].items()}
        return cls(schemes=schemes, off=tried["off"])


def learned(plan: Plan, lessons: Sequence[Lesson]) -> float:
    """Return by what to multiply a plan's prediction; without lessons, by 1.

    It is the geometric mean of what earlier plans were off, those most alike counting most: their
    weights are the inverse squares of their distances. The dense network counts as one that is off
    by nothing: by how much it was, predictions are mended already.
    """
    weights, logs = [_DENSE**-2], [0.0]
    for lesson in lessons:
        weights.append((distance(plan, lesson.schemes) + _NEAREST) ** -2)
        logs.append(log(lesson.off))
    return exp(sum(w * x for w, x in zip(weights, logs, strict=True)) / sum(weights))


def distance(plan: Plan, schemes: Mapping[str, Scheme]) -> float:
    """Return how far apart a plan and others' schemes are, 0 to 1.

    The layers count by their time. One of another format counts as 1, one of another density by
    the logarithm of the densities' ratio, at most 1.
    """
    total = sum(one.seconds for one in plan.layers.values())
    found = 0.0
    for name, one in plan.layers.items():
        mine, other = one.scheme, schemes.get(name, _dense(one.scheme))
        alike = (mine.format, mine.block, mine.bits) == (other.format, other.block, other.bits)
        found += one.seconds * (min(1.0, abs(log(mine.density / other.density))) if alike else 1.0)
    return found / total


def _dense(scheme: Scheme) -> Scheme:
    return scheme if scheme.format == "dense" else Scheme(format="dense")
