"""Try plans until the network of one has the wanted speed, as measured.

Predictions of small networks are off by a tenth and more. So a plan is built and measured; one that
missed is made again with another budget, from both sides of what is wanted; then a few layers of
the nearest one get other densities, which changes its time by little and by what is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import log
from typing import Any

from tvm_sparse.errors import PlanError
from tvm_sparse.planning.budget import Budget
from tvm_sparse.planning.plan import Plan
from tvm_sparse.workflow.correction import AIM, corrected, good
from tvm_sparse.workflow.lessons import Lesson, learned

_CORRECTIONS, _SEARCHES, _EXCHANGES = 4, 2, 4  # plans that are measured; of slow strategies
_SLOW = ("search", "reinforce", "ddpg", "agmc")
_MISSED = 0.9  # share of the wanted speed below which there is no plan


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of a plan's network.

    Parameters
    ----------
    share : float
        Measured over wanted speed: over 1, it is faster.
    off : float
        Measured over predicted time.
    """

    share: float
    off: float


@dataclass(frozen=True, kw_only=True)
class Try:
    """A plan that was built and measured.

    Parameters
    ----------
    asked : Budget
        What its strategy was asked for.
    plan : Plan
    measured : Measured
    learned : float
        By what earlier tries say to multiply its prediction; its own measurement takes no part.
    how : str
        The strategy, or ``exchange``.
    """

    asked: Budget
    plan: Plan
    measured: Measured
    learned: float
    how: str

    @property
    def missed(self) -> float:
        """How far it is from what is wanted, as a logarithm."""
        return abs(log(self.measured.share / AIM))

    def to_json(self) -> dict[str, Any]:
        """Return plain data; `lesson` reads it."""
        return {
            "strategy": self.how,
            "budget": str(self.asked),
            "predicted": self.plan.speedup,
            "share": self.measured.share,
            "off": self.measured.off,
            "learned": self.learned,
            "schemes": {name: str(scheme) for name, scheme in self.plan.decided.items()},
        }


@dataclass(kw_only=True)
class Tries:
    """What is tried for a budget of time.

    Parameters
    ----------
    wanted : Budget
    planned : callable
        Takes a strategy and a budget, and returns a plan.
    within : callable
        Takes a budget, and returns the nearest one that plans can keep to.
    exchanged : callable
        Takes a plan and seconds, and returns one like it that is predicted to take these.
    measured : callable
        Builds and measures a plan's network.
    lessons : sequence of Lesson
        Of other networks of the same layers.
    """

    wanted: Budget
    planned: Callable[[str, Budget], Plan]
    within: Callable[[Budget], Budget]
    exchanged: Callable[[Plan, float], Plan]
    measured: Callable[[Plan], Measured]
    lessons: Sequence[Lesson] = ()
    all: list[Try] = field(default_factory=list)

    def meet(self, strategy: str, start: Budget) -> Try:
        """Return the try that comes nearest to the wanted speed.

        Where a strategy takes long, most of the correction is done without searching.

        Raises
        ------
        PlanError
            If it still misses by a tenth, or the strategy finds no plan at all.
        """
        asked, times = self.within(start), _CORRECTIONS
        if strategy in _SLOW:
            fast = self.corrected("dp", asked, times)
            asked, times = self._next(fast) if fast else asked, _SEARCHES
        found = self.corrected(strategy, asked, times)
        if not found:
            self.planned(strategy, asked)  # which says what is possible
        best = self.exchange(found)
        if best.measured.share < _MISSED:
            raise PlanError(
                f"a budget of {self.wanted} is out of reach: the best plan that {strategy} found "
                f"has {best.measured.share:.0%} of the wanted speed, as measured; allow more, or "
                "offer more formats and smaller densities"
            )
        return best

    def corrected(self, strategy: str, asked: Budget, times: int) -> list[Try]:
        """Return tries with other and other budgets, until one is good."""
        found: list[Try] = []
        for _ in range(times):
            try:
                plan = self.planned(strategy, asked)
            except PlanError:  # the correction is out of the strategy's reach
                break
            if any(one.plan.decided == plan.decided for one in found):
                break  # there is nothing between two options
            found.append(self._try(strategy, asked, plan))
            if good(found[-1].measured.share):
                break
            asked = self._next(found)
        return found

    def exchange(self, found: Sequence[Try]) -> Try:
        """Return the nearest try, and before that change layers of it until it is good."""
        tries = list(found)
        for _ in range(_EXCHANGES):
            best = min(tries, key=lambda one: one.missed)
            if good(best.measured.share):
                break
            plan = self.exchanged(best.plan, best.plan.seconds * best.measured.share / AIM)
            if any(one.plan.decided == plan.decided for one in tries):
                break
            value = plan.speedup if self.wanted.kind == "speedup" else plan.seconds
            tries.append(self._try("exchange", replace(self.wanted, value=value), plan))
        return min(tries, key=lambda one: one.missed)

    def _next(self, found: Sequence[Try]) -> Budget:
        """Return what to ask for after some tries: that of the last one if it is good."""
        last = found[-1]
        if good(last.measured.share):
            return last.asked
        slope = 1 if self.wanted.kind == "speedup" else -1
        known = [(one.asked.value, one.measured.share) for one in found]
        return self.within(replace(last.asked, value=corrected(known, slope)))

    def _try(self, how: str, asked: Budget, plan: Plan) -> Try:
        same = next((one for one in self.all if one.plan.decided == plan.decided), None)
        if same is not None:
            return replace(same, asked=asked, plan=plan, how=how)
        lessons = [*self.lessons, *(_lesson(one) for one in self.all)]
        factor = learned(plan, lessons)  # before it is measured
        measured = self.measured(plan)
        self.all.append(Try(asked=asked, plan=plan, measured=measured, learned=factor, how=how))
        return self.all[-1]


def _lesson(one: Try) -> Lesson:
    return Lesson(schemes=one.plan.decided, off=one.measured.off)
