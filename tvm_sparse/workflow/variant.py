"""One plan of a run, from the search to measured figures."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tvm_sparse.building import build
from tvm_sparse.compiled import Compiled, load
from tvm_sparse.errors import ModelError, PlanError
from tvm_sparse.planning.budget import Budget
from tvm_sparse.planning.plan import Plan
from tvm_sparse.profiling.network import estimate
from tvm_sparse.pruning import needs, prune
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.training import Training
from tvm_sparse.tuning.tune import tune
from tvm_sparse.workflow import measure, training
from tvm_sparse.workflow.correction import corrected
from tvm_sparse.workflow.folder import Folder, Result, folder_of, named
from tvm_sparse.workflow.shared import Shared

_CORRECTIONS, _SEARCHES = 3, 2  # plans that are measured; of strategies that take long
_SLOW = ("search", "reinforce", "ddpg", "agmc")
_SHORT, _LONG = 0.99, 1.03  # shares of the wanted speed-up between which a plan is good
_MISSED = 0.9  # share below which there is no plan
_ERROR = 1e-4  # largest difference to torch, relative to the largest output
_CALIBRATING = 256  # images that pruning methods look at
_TESTED = 2000  # images that the compiled network sees at most


@dataclass(kw_only=True)
class Variant:
    """A plan of a run.

    Parameters
    ----------
    shared : Shared
    strategy, budget : str
    start : Budget, optional
        What to ask the strategy for first; by default the budget. It is what met this budget on
        another network of the same layers.
    """

    shared: Shared
    strategy: str
    budget: str
    start: Budget | None = None

    @property
    def name(self) -> str:
        """E.g. ``search 2.5x``."""
        return f"{self.strategy} {self.budget}"

    @cached_property
    def folder(self) -> Folder:
        """Where this plan's results are."""
        return Folder(self.shared.folder.path / folder_of(self.name))

    @cached_property
    def planned(self) -> Result:
        """What the stage ``plan`` found: predicted and measured speed-up before training."""
        shared, config = self.shared, self.shared.config
        before = shared.trained["of"], shared.measured["of"]
        names = ("plan", "prune", "build")
        tables = [config.table(name) for name in names]
        of = named("plan", self.name, config.seed, *before, *tables)
        return self.folder.stage("planned", of, self._plan)

    @cached_property
    def plan(self) -> Plan:
        """The plan."""
        assert self.planned
        return Plan.read(self.folder.path / "plan.json")

    @cached_property
    def pruned(self) -> Result:
        """What the stage ``prune`` found: the accuracy without training."""
        return self.folder.stage("prune", named("prune", self.planned["of"]), self._prune)

    @cached_property
    def fine_tuned(self) -> Result:
        """What the stage ``fine_tune`` found: the accuracy of the pruned network."""
        of = named("fine_tune", self.pruned["of"], self.shared.config.table("fine_tune"))
        return self.folder.stage("fine_tune", of, self._fine_tune)

    @cached_property
    def model(self) -> nn.Module:
        """The pruned and fine-tuned network."""
        assert self.fine_tuned
        return self.shared.network(self.folder.path / "model.pt")

    @cached_property
    def tuned(self) -> Result:
        """What the stage ``tune`` found."""
        of = named("tune", self.fine_tuned["of"], self.shared.config.table("tune"))
        return self.folder.stage("tune", of, self._tune)

    @cached_property
    def built(self) -> Result:
        """What the stage ``build`` found: how layers are stored."""
        return self.folder.stage("build", named("build", self.tuned["of"]), self._build)

    @cached_property
    def verified(self) -> Result:
        """What the stage ``verify`` found: accuracy and times of what was built."""
        return self.folder.stage("verify", named("verify", self.built["of"]), self._verify)

    def _plan(self) -> Result:
        shared, wanted = self.shared, Budget.parse(self.budget)
        correct = shared.config.plan.correct and wanted.kind in ("speedup", "seconds")
        asked = self._within_reach(self.start or wanted) if correct else wanted
        tried: list[Result] = []
        times = _CORRECTIONS if correct else 0
        if correct and self.strategy in _SLOW:  # most of the correction, without searching
            asked, _ = self._corrected("dp", wanted, asked, tried, times)
            times = _SEARCHES
        asked, plan = self._corrected(self.strategy, wanted, asked, tried, times)
        replace(plan, budget=self.budget).save(self.folder.path / "plan.json")
        return {
            "reach": shared.planner.reach,
            "predicted": plan.seconds,
            "asked": asked.value,
            "tried": tried,
            "front": shared.planner.front(),
            "search_seconds": plan.search_seconds,
        }

    def _corrected(
        self, strategy: str, wanted: Budget, asked: Budget, tried: list[Result], times: int
    ) -> tuple[Budget, Plan]:
        """Return the budget to ask a strategy for so that the wanted one is met, and its plan.

        Of the plans that were measured it is the one whose network is nearest to what is wanted.
        """
        found: list[tuple[Budget, Plan, float]] = []
        for _ in range(times):
            try:
                plan = self._planned(strategy, asked)
            except PlanError:  # the correction is out of the strategy's reach
                break
            share = self._share(plan, wanted)
            found.append((asked, plan, share))
            tried.append(
                {
                    "strategy": strategy,
                    "budget": str(asked),
                    "predicted": plan.speedup,
                    "share": share,
                }
            )
            if _SHORT <= share <= _LONG:
                break
            slope = 1 if wanted.kind == "speedup" else -1
            value = corrected([(one.value, met) for one, _, met in found], slope)
            asked = self._within_reach(replace(asked, value=value))
        if not found:
            return asked, self._planned(strategy, asked)
        asked, plan, share = min(found, key=lambda one: abs(log(one[2])))
        if share < _MISSED:
            raise PlanError(
                f"a budget of {wanted} is out of reach: the best plan that {strategy} found has "
                f"{share:.0%} of the wanted speed, as measured; allow more, or offer more formats "
                "and smaller densities"
            )
        return asked, plan

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

    def _share(self, plan: Plan, wanted: Budget) -> float:
        """Return which share of the wanted speed a pruned network has: over 1, it is faster."""
        shared = self.shared
        shared.tell("measuring the plan", 0, 1)
        model = prune(deepcopy(shared.dense), plan)
        compiled = build(model, shared.target, example_inputs=(shared.x,), database=False)
        both = {"dense": shared.dense_build, "sparse": compiled}
        times = measure.in_turns(both, shared.x, shared.target.cores)
        if wanted.kind == "speedup":
            return times["sparse"].ratio(times["dense"]) / wanted.value
        return wanted.value / times["sparse"].median

    def _prune(self) -> Result:
        shared = self.shared
        method, data = shared.config.prune.method, [shared.images.sample(_CALIBRATING)[0]]
        possible: dict[str, Any] = {"data": data, "training": self._training}
        given = {name: possible[name] for name in needs(method) if name in possible}
        model = prune(deepcopy(shared.dense), self.plan, method=method, **given)
        torch.save(model.state_dict(), self.folder.path / "pruned.pt")
        masks = {name: (w != 0).flatten(1).numpy() for name, w in prunable(model).items()}
        np.savez_compressed(self.folder.path / "masks.npz", **masks)  # type: ignore[arg-type]
        return {"accuracy": training.accuracy(model, shared.images)}

    @property
    def _training(self) -> Training:
        """How the pruned network is trained."""
        shared, config = self.shared, self.shared.config
        return training.training(
            shared.images, config.fine_tune, config.seed, shared.tell, shared.dense
        )

    def _fine_tune(self) -> Result:
        shared, config = self.shared, self.shared.config
        model = shared.network(self.folder.path / "pruned.pt")
        torch.manual_seed(config.seed)
        curve = training.train(model, shared.images, self._training)
        torch.save(model.state_dict(), self.folder.path / "model.pt")
        return {"accuracy": training.accuracy(model, shared.images), "curve": curve}

    def _tune(self) -> Result:
        shared, wanted = self.shared, self.shared.config.tune
        if not wanted.trials:
            return {"database": "", "curve": []}
        curve: list[dict[str, float]] = []

        def note(state: Any) -> None:
            shared.tell(f"{state.milliseconds:.3g} ms: {state.stage}", state.done, state.total)
            curve.append({"done": state.done, "milliseconds": state.milliseconds})

        path = tune(
            self.model,
            shared.target,
            example_inputs=(shared.x,),
            trials=wanted.trials,
            time=wanted.time,
            database=shared.folder.path / "tuned",
            progress=note,
        )
        return {"database": str(path), "curve": curve}

    def _build(self) -> Result:
        shared, found = self.shared, self.tuned["database"]
        shared.tell("building", 0, 1)
        compiled = build(
            self.model,
            shared.target,
            example_inputs=(shared.x,),
            database=Path(found) if found else False,
        )
        compiled.export(self.folder.path / "sparse.so")
        rows = [row.cells() for row in compiled.report.rows]
        nbytes = sum(row.nbytes for row in compiled.report.rows)
        return {"rows": rows, "nbytes": nbytes}

    def _verify(self) -> Result:
        shared = self.shared
        shared.tell("verifying", 0, 2)
        compiled = load(self.folder.path / "sparse.so")
        accuracy, error = _tested(compiled, self.model, shared)
        shared.tell("measuring", 1, 2)
        both = {"dense": shared.dense_build, "sparse": compiled}
        times = measure.in_turns(both, shared.x, shared.target.cores)
        predicted = estimate(self.model, shared.table, shared.target, example_inputs=(shared.x,))
        return {
            "accuracy": accuracy,
            "error": error,
            "dense": times["dense"].median,
            "sparse": times["sparse"].median,
            "spread": times["sparse"].spread,
            "speedup": times["sparse"].ratio(times["dense"]),
            "predicted": shared.calibrated(predicted.seconds),
            "kernels": measure.kernels(self.model, shared.x, shared.table, shared.target),
        }


def _tested(compiled: Compiled, model: nn.Module, shared: Shared) -> tuple[float, float]:
    """Return a compiled network's accuracy, and how far it is from torch.

    Raises
    ------
    ModelError
        If it is too far.
    """
    right, total, apart, largest = 0, 0, 0.0, 1e-30
    for images, labels in shared.images.tested():
        if total >= _TESTED:
            break
        answers = torch.cat([_one(compiled, image[None]) for image in images])
        with torch.inference_mode():
            expected = model(images)
        apart = max(apart, float((answers - expected).abs().max()))
        largest = max(largest, float(expected.abs().max()))
        right, total = right + int((answers.argmax(1) == labels).sum()), total + len(labels)
    if apart > _ERROR * largest:
        raise ModelError(
            f"the compiled network is off by {apart / largest:.1e} of the largest output, at most "
            f"{_ERROR:.0e} was expected: this is a bug, please report it with the model"
        )
    return right / total, apart / largest


def _one(compiled: Compiled, image: Tensor) -> Tensor:
    found: Tensor = compiled(image)
    return found
