"""The stage ``plan``: a plan whose network has the wanted speed, as measured."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tvm_sparse.building import build
from tvm_sparse.planning.budget import Budget
from tvm_sparse.planning.plan import Plan
from tvm_sparse.profiling.network import estimate
from tvm_sparse.pruning import prune
from tvm_sparse.tuning import scratch
from tvm_sparse.workflow import rounding
from tvm_sparse.workflow.correction import good
from tvm_sparse.workflow.folder import Result
from tvm_sparse.workflow.lessons import Lesson
from tvm_sparse.workflow.placements import Compared, compared, confirmed
from tvm_sparse.workflow.shared import Shared
from tvm_sparse.workflow.tries import Measured, Tries


@dataclass(frozen=True, kw_only=True)
class Planning:
    """How a plan of a run is found.

    Parameters
    ----------
    shared : Shared
    strategy, budget : str
    start : Budget, optional
        What to ask the strategy for first; by default the budget.
    lessons : sequence of Lesson
        Of other networks of the same layers.
    """

    shared: Shared
    strategy: str
    budget: str
    start: Budget | None = None
    lessons: Sequence[Lesson] = ()

    def run(self, path: Path) -> Result:
        """Find a plan, write it to a file, and return how it was found.

        Raises
        ------
        PlanError
            If the budget is out of reach.
        """
        shared, wanted = self.shared, Budget.parse(self.budget)
        correct = shared.config.plan.correct and wanted.kind in ("speedup", "seconds")
        asked, factor, tried = wanted, 1.0, list[Result]()
        if correct:
            tries = self.tries(wanted)
            best = tries.meet(self.strategy, self.start or wanted)
            asked, plan, factor = best.asked, best.plan, best.learned
            tried = [one.to_json() for one in tries.all]
        else:
            plan = self._planned(self.strategy, wanted)
        replace(plan, budget=self.budget).save(path)
        return {
            "reach": shared.planner.reach,
            "predicted": plan.seconds,
            "asked": asked.value,
            "learned": factor,
            "tried": tried,
            "front": shared.planner.front(),
            "search_seconds": plan.search_seconds,
        }

    def tries(self, wanted: Budget) -> Tries:
        """Return how plans for a budget of time are tried."""
        return Tries(
            wanted=wanted,
            planned=self._planned,
            within=self._within_reach,
            exchanged=self.shared.planner.exchanged,
            measured=lambda plan: self._measured(plan, wanted),
            lessons=self.lessons,
        )

    def _within_reach(self, asked: Budget) -> Budget:
        """Return a budget of time that plans can keep to, as far as is predicted."""
        planner = self.shared.planner
        fastest = planner.reach if asked.kind == "speedup" else planner.least
        within = min if asked.kind == "speedup" else max
        return replace(asked, value=within(asked.value, fastest))

    def _planned(self, strategy: str, asked: Budget) -> Plan:
        options = self.shared.config.plan
        return self.shared.planner.plan(
            asked,
            strategy,
            trials=options.trials,
            seed=self.shared.config.seed,
            difficulty=options.difficulty,  # type: ignore[arg-type]
        )

    def _measured(self, plan: Plan, wanted: Budget) -> Measured:
        """Prune, build and measure; pruned by magnitude, which leaves as many weights as others."""
        shared = self.shared
        shared.tell("building what is planned", 0, 2)
        model: Any = prune(deepcopy(shared.dense), plan)
        model = rounding.rounded(model, plan, shared) if plan.bits < 32 else model
        x = (shared.x,)
        predicted = estimate(model, shared.table, shared.target, example_inputs=x).seconds
        compiled = build(model, shared.target, example_inputs=x, database=False)
        shared.tell("measuring what was built", 1, 2)
        with scratch.folder() as folder:
            path = compiled.export(folder / "tried.so")
            timed = shared.loads(path)
            found = confirmed(lambda: compared(timed), lambda one: good(self._share(one, wanted)))
        off = shared.off(found.speedup, predicted)
        return Measured(share=self._share(found, wanted), off=off)

    def _share(self, found: Compared, wanted: Budget) -> float:
        """Return which share of the wanted speed was measured."""
        if wanted.kind == "speedup":
            return found.speedup / wanted.value
        return wanted.value / found.times[1].median
