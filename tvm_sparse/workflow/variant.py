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
from torch import nn

from tvm_sparse.building import build
from tvm_sparse.compiled import load
from tvm_sparse.errors import PlanError
from tvm_sparse.planning.budget import Budget
from tvm_sparse.planning.plan import Plan
from tvm_sparse.profiling.network import estimate
from tvm_sparse.pruning import prune, takes
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.training import Training
from tvm_sparse.tuning.tune import tune
from tvm_sparse.workflow import measure, rounding, training, verify
from tvm_sparse.workflow.correction import corrected
from tvm_sparse.workflow.folder import Folder, Result, folder_of, named
from tvm_sparse.workflow.shared import Shared

_CORRECTIONS, _SEARCHES = 3, 2  # plans that are measured; of strategies that take long
_SLOW = ("search", "reinforce", "ddpg", "agmc")
_SHORT, _LONG = 0.99, 1.03  # shares of the wanted speed-up between which a plan is good
_MISSED = 0.9  # share below which there is no plan


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
    def quantized(self) -> Result:
        """What the stage ``quantize`` found: how many layers are int8, and the accuracy then."""
        of = named("quantize", self.fine_tuned["of"], self.shared.config.table("quantize"))
        return self.folder.stage("quantize", of, self._quantize)

    @cached_property
    def final(self) -> Any:
        """The network that is built: of torch, or a quantized Relax module."""
        if not self.quantized["layers"]:
            return self.model
        return rounding.load(self.folder.path / "quantized.json")

    @cached_property
    def tuned(self) -> Result:
        """What the stage ``tune`` found."""
        of = named("tune", self.quantized["of"], self.shared.config.table("tune"))
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
        model: Any = prune(deepcopy(shared.dense), plan)
        model = rounding.rounded(model, plan, shared) if plan.bits < 32 else model
        compiled = build(model, shared.target, example_inputs=(shared.x,), database=False)
        both = {"dense": shared.dense_build, "sparse": compiled}
        times = measure.in_turns(both, shared.x, shared.target.cores)
        if wanted.kind == "speedup":
            return times["sparse"].ratio(times["dense"]) / wanted.value
        return wanted.value / times["sparse"].median

    def _prune(self) -> Result:
        shared = self.shared
        wanted = shared.config.prune
        images = shared.images.sample(wanted.images)[0]
        known: dict[str, Any] = {"data": [images], "training": self._training}
        given = {name: known[name] for name in takes(wanted.method) if name in known}
        schemes = {name: replace(scheme, bits=32) for name, scheme in self.plan.items()}
        model = prune(deepcopy(shared.dense), schemes, method=wanted.method, **given)
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

    def _quantize(self) -> Result:
        shared, before = self.shared, self.fine_tuned["accuracy"]
        bits = rounding.wanted_bits(shared.config, self.plan)
        if bits is None:
            return {"layers": 0, "accuracy": before, "before": before}
        shared.tell("quantizing", 0, 2)
        mod = rounding.rounded(self.model, bits, shared)
        shared.tell("testing the quantized network", 1, 2)
        compiled = build(mod, shared.target, sparse=False, database=False)
        compiled.export(self.folder.path / "rounded.so")
        rounding.save(mod, self.folder.path / "quantized.json")
        return {
            "layers": sum(row.is_integer for row in compiled.report),
            "accuracy": verify.accuracy(compiled, shared.images),
            "before": before,
            "notes": compiled.report.notes,
        }

    def _tune(self) -> Result:
        shared, wanted = self.shared, self.shared.config.tune
        if not wanted.trials:
            return {"database": "", "curve": []}
        curve: list[dict[str, float]] = []

        def note(state: Any) -> None:
            shared.tell(f"{state.milliseconds:.3g} ms: {state.stage}", state.done, state.total)
            curve.append({"done": state.done, "milliseconds": state.milliseconds})

        path = tune(
            self.final,
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
            self.final,
            shared.target,
            example_inputs=(shared.x,),
            database=Path(found) if found else False,
        )
        compiled.export(self.folder.path / "sparse.so")
        rows = [row.cells() for row in compiled.report.rows]
        nbytes = sum(row.nbytes for row in compiled.report.rows)
        return {"rows": rows, "nbytes": nbytes}

    def _verify(self) -> Result:
        shared, place = self.shared, self.folder.path
        shared.tell("verifying", 0, 2)
        compiled = load(place / "sparse.so")
        if self.quantized["layers"]:
            found = verify.alike(compiled, load(place / "rounded.so"), shared.images)
        else:
            found = verify.exactly(compiled, self.model, shared.images)
        verify.note(compiled, shared.images, place / "answers.npz")
        shared.tell("measuring", 1, 2)
        both = {"dense": shared.dense_build, "sparse": compiled}
        times = measure.in_turns(both, shared.x, shared.target.cores)
        predicted = estimate(self.final, shared.table, shared.target, example_inputs=(shared.x,))
        return {
            "accuracy": found[0],
            "error": found[1],
            "dense": times["dense"].median,
            "sparse": times["sparse"].median,
            "spread": times["sparse"].spread,
            "speedup": times["sparse"].ratio(times["dense"]),
            "predicted": shared.calibrated(predicted.seconds),
            "kernels": measure.kernels(self.final, shared.x, shared.table, shared.target),
        }
