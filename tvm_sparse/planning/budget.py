"""What a plan may take: a speed-up, milliseconds, bytes, or the accuracy that must stay."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tvm_sparse.errors import PlanError
from tvm_sparse.planning.problem import Problem, Resource

_NUMBER = r"(?P<number>\d+(\.\d*)?|\.\d+)\s*"
_UNITS = {
    "x": ("speedup", 1.0),
    "×": ("speedup", 1.0),
    "s": ("seconds", 1.0),
    "ms": ("seconds", 1e-3),
    "us": ("seconds", 1e-6),
    "B": ("nbytes", 1.0),
    "KB": ("nbytes", 1e3),
    "MB": ("nbytes", 1e6),
    "KiB": ("nbytes", 1024.0),
    "MiB": ("nbytes", 1024.0**2),
    "%": ("accuracy", 0.01),
}
_TEXT = re.compile(_NUMBER + f"(?P<unit>{'|'.join(sorted(_UNITS, key=len, reverse=True))})")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a plan may take.

    Parameters
    ----------
    kind : {"speedup", "seconds", "nbytes", "accuracy"}
        A speed-up over the dense network, seconds of a run, bytes of all weights and indices, or
        the accuracy that must stay, the plan being as fast as that allows.
    value : float

    Examples
    --------
    >>> str(Budget.parse("2.5x")), str(Budget.parse("3 ms")), str(Budget.parse("97%"))
    ('2.5x', '3ms', '97%')
    """

    kind: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read e.g. ``2.5x``, ``3 ms``, ``400 KB`` or ``97%``.

        Raises
        ------
        PlanError
            If the text is no budget.
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None or not float(match["number"]):
            raise PlanError(
                f"cannot read the budget {text!r}: expected a speed-up (2.5x), a time (3ms), a "
                "size (400KB, 1MiB) or an accuracy that must stay (97%)"
            )
        kind, unit = _UNITS[match["unit"]]
        return cls(kind=kind, value=float(match["number"]) * unit)

    def __str__(self) -> str:
        """Return e.g. ``2.5x``; `parse` reads it."""
        scale, unit = {
            "speedup": (1.0, "x"),
            "seconds": (1e3, "ms"),
            "nbytes": (1.0, "B"),
            "accuracy": (100.0, "%"),
        }[self.kind]
        return f"{self.value * scale:.6g}{unit}"

    @property
    def resource(self) -> Resource:
        """What is limited."""
        return "nbytes" if self.kind == "nbytes" else "seconds"

    def limit(self, problem: Problem) -> float:
        """Return the seconds or bytes that a plan may take.

        Raises
        ------
        PlanError
            If no selection takes so little; the message says how little is possible. If the
            budget is an accuracy, which is no limit by itself.
        """
        if self.kind == "accuracy":
            raise PlanError("an accuracy limits no time by itself: plan with a calibration set")
        dense, least = (
            problem.total(problem.dense, self.resource),
            problem.least(self.resource),
        )
        limit = dense / self.value if self.kind == "speedup" else self.value
        if limit < least * (1 - 1e-9):
            raise PlanError(f"a budget of {self} is out of reach: {self._reach(dense, least)}")
        return limit

    def _reach(self, dense: float, least: float) -> str:
        """Return the most that can be asked for."""
        if self.kind == "nbytes":
            possible = f"the smallest plan takes {least:.0f} bytes, dense weights {dense:.0f}"
        else:
            possible = (
                f"at most {dense / least:.2f}x, {least * 1e3:.4g} ms instead of {dense * 1e3:.4g}"
            )
        return f"{possible}; allow more, or offer more formats and smaller densities"
