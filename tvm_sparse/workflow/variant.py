"""One plan of a run, from the search to measured figures."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tvm_sparse.building import build
from tvm_sparse.compiled import load
from tvm_sparse.planning.budget import Budget
from tvm_sparse.planning.plan import Plan
from tvm_sparse.profiling.network import estimate
from tvm_sparse.pruning import prune, takes
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.training import Training
from tvm_sparse.tuning.tune import tune
from tvm_sparse.workflow import measure, rounding, training, verify
from tvm_sparse.workflow.folder import Folder, Result, folder_of, named
from tvm_sparse.workflow.lessons import Lesson
from tvm_sparse.workflow.placements import compared
from tvm_sparse.workflow.planning import Planning
from tvm_sparse.workflow.shared import Shared


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
    lessons : sequence of Lesson
        What measured plans of such networks teach about predictions.
    """

    shared: Shared
    strategy: str
    budget: str
    start: Budget | None = None
    lessons: Sequence[Lesson] = ()

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
        planning = Planning(
            shared=shared,
            strategy=self.strategy,
            budget=self.budget,
            start=self.start,
            lessons=self.lessons,
        )
        return self.folder.stage(
            "planned", of, lambda: planning.run(self.folder.path / "plan.json")
        )

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
        """What the stage ``quantize`` found: layers of fewer bits, and the accuracy then."""
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
        wanted = rounding.wanted_bits(shared.config, self.plan)
        if wanted is None:
            return {"layers": 0, "bits": {}, "accuracy": before, "before": before}
        shared.tell("quantizing", 0, 2)
        mod = rounding.rounded(self.model, wanted, shared)
        shared.tell("testing the quantized network", 1, 2)
        compiled = build(mod, shared.target, sparse=False, database=False)
        compiled.export(self.folder.path / "rounded.so")
        rounding.save(mod, self.folder.path / "quantized.json")
        bits = rounding.counted(compiled.report)
        return {
            "layers": sum(bits.values()),
            "bits": bits,
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
        times = compared(shared.loads(place / "sparse.so"))
        dense, sparse = times.times
        predicted = estimate(self.final, shared.table, shared.target, example_inputs=(shared.x,))
        return {
            "accuracy": found[0],
            "error": found[1],
            "dense": dense.median,
            "sparse": sparse.median,
            "spread": sparse.spread,
            "speedup": times.speedup,
            **self._predicted(predicted.seconds),
            "kernels": measure.kernels(self.final, shared.x, shared.table, shared.target),
        }

    def _predicted(self, seconds: float) -> Result:
        """Return what is predicted of the network that was built, in seconds.

        ``by_table`` is what the latency table and the dense network say. ``predicted`` is that
        times what plans taught that were measured earlier: it was known before this plan's own
        network was measured for the first time. Without such plans, both are the same.
        """
        by_table = self.shared.calibrated(seconds)
        return {"predicted": by_table * self.planned.get("learned", 1.0), "by_table": by_table}
