"""What all plans of a run share: the data, the trained network, the latency table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from tvm_sparse import targets
from tvm_sparse.building import build
from tvm_sparse.latency import LatencyTable
from tvm_sparse.planning.planner import Planner
from tvm_sparse.precision import Precision
from tvm_sparse.profiling.network import estimate
from tvm_sparse.profiling.profile import profile
from tvm_sparse.profiling.read import read
from tvm_sparse.targets import Target
from tvm_sparse.workflow import data, measure, models, training
from tvm_sparse.workflow.checks import offered
from tvm_sparse.workflow.config import Config
from tvm_sparse.workflow.folder import Folder, Result, named
from tvm_sparse.workflow.placements import Compared, watched

Tell = Callable[[str, int, int], None]


@dataclass(kw_only=True)
class Shared:
    """A run before its plans.

    Parameters
    ----------
    config : Config
    folder : Folder
    tell : callable
        Called with what runs, how much of it is done, and how much there is.
    """

    config: Config
    folder: Folder
    tell: Tell

    @cached_property
    def images(self) -> data.Images:
        """The data set."""
        return data.load(self.config.data)

    @cached_property
    def target(self) -> Target:
        """What is built for, with as many cores as threads run."""
        return replace(targets.load(self.config.build.target), cores=self.config.build.threads)

    @property
    def x(self) -> Tensor:
        """One image."""
        return self.images.example

    def network(self, path: Path) -> nn.Module:
        """Return the network with weights of a file of this run."""
        model = models.make(replace(self.config.model, weights=""), self.images)
        models.load(model, path)
        return model

    @cached_property
    def trained(self) -> Result:
        """What the stage ``train`` found: the accuracy of the dense network."""
        config = self.config
        names = ("data", "model", "train")
        of = named("train", config.seed, *(config.table(name) for name in names))
        return self.folder.stage("train", of, self._train)

    @cached_property
    def dense(self) -> nn.Module:
        """The trained network."""
        assert self.trained
        return self.network(self.folder.path / "dense.pt")

    @cached_property
    def profiled(self) -> Result:
        """What the stage ``profile`` found."""
        config = self.config
        names = ("data", "model", "profile", "build")
        tables = [config.table(name) for name in names]
        of = named("profile", *tables, offered(config))
        return self.folder.stage("profile", of, lambda: self._profile(32))

    @cached_property
    def profiled_short(self) -> dict[str, Result]:
        """What the stages ``profile_int8``, … found, for each precision that layers may have."""
        config, found = self.config, {}
        for bits in sorted({*config.plan.bits, config.quantize.bits} - {32}):
            name = Precision.parse(bits).name
            of = named(f"profile_{name}", self.profiled["of"])
            found[name] = self.folder.stage(f"profile_{name}", of, partial(self._profile, bits))
        return found

    @cached_property
    def table(self) -> LatencyTable:
        """The latency table."""
        found = [self.profiled, *self.profiled_short.values()]
        return read(Path(found[-1]["table"]), self.target)

    @cached_property
    def measured(self) -> Result:
        """What the stage ``dense`` found: the time of the dense network, and what was predicted."""
        of = named("dense", "loads", self.trained["of"], self.profiled["of"])
        return self.folder.stage("dense", of, self._measure)

    @cached_property
    def dense_build(self) -> Path:
        """The dense network, compiled and exported."""
        assert self.measured
        return self.folder.path / "dense.so"

    def loads(self, path: Path) -> Callable[[], Compared]:
        """Return what times an exported network in turns with the dense one, loaded anew."""
        fastest, cores = float(self.measured["fastest"]), self.target.cores
        return measure.loads(self.dense_build, path, self.x, cores, fastest)

    @property
    def slower(self) -> float:
        """Measured over predicted time of the dense network.

        Kernels of a table add up to whole calls, so that nothing is left out of a prediction: what
        it is off by is how fast the machine is now, other than when the table was taken.
        """
        return float(self.measured["seconds"] / self.measured["predicted"])

    def calibrated(self, seconds: float) -> float:
        """Return a prediction, mended by how far that of the dense network was off."""
        return seconds * self.slower

    def off(self, speedup: float, predicted: float) -> float:
        """Return measured over predicted time of a network.

        Parameters
        ----------
        speedup : float
            Measured, in turns with the dense network: so it does not matter whether the machine
            was as fast as when that was measured alone.
        predicted : float
            Seconds, not yet `calibrated`.
        """
        return float(self.measured["seconds"]) / speedup / self.calibrated(predicted)

    @cached_property
    def planner(self) -> Planner:
        """What plans are made with."""
        plan = self.config.plan
        return Planner(
            model=self.dense,
            table=self.table,
            target=self.target,
            example_inputs=(self.x,),
            schemes=offered(self.config) or None,
            bits=plan.bits,
            calibration=self.images.sample(plan.images),
            errors=plan.errors,  # type: ignore[arg-type]
            method=self.config.prune.method,
            cache=self.folder.path / "sensitivities.jsonl",
            slower=self.slower,
            progress=self.tell,
        )

    def _train(self) -> Result:
        config = self.config
        torch.manual_seed(config.seed)
        model, curve = models.make(config.model, self.images), []
        if not config.model.weights:
            how = training.training(self.images, config.train, config.seed, self.tell)
            curve = training.train(model, self.images, how)
        torch.save(model.state_dict(), self.folder.path / "dense.pt")
        return {"accuracy": training.accuracy(model, self.images), "curve": curve}

    def _profile(self, bits: int) -> Result:
        wanted = self.config.profile
        path = Path(wanted.table) if wanted.table else self.folder.path / "latencies"
        table = profile(
            self.dense,
            self.target,
            example_inputs=(self.x,),
            schemes=wanted.formats or offered(self.config) or None,
            densities=wanted.densities or None,
            bits=[bits],
            time=wanted.time,
            database=path,
            progress=lambda state: self.tell(state.stage, state.done, state.total),
        )
        return {"table": str(path), "cells": len(table), "provenance": table.provenance}

    def _measure(self) -> Result:
        self.tell("measuring the dense network", 0, 1)
        x = (self.x,)
        compiled = build(self.dense, self.target, example_inputs=x, sparse=False, database=False)
        path = compiled.export(self.folder.path / "dense.so")
        cores = self.target.cores
        times = measure.in_turns({"dense": compiled}, self.x, cores, torch=self.dense)
        twice = watched(measure.loads(path, path, self.x, cores))
        dense, torch = twice.times[0], times["torch"]
        predicted = estimate(self.dense, self.table, self.target, example_inputs=x)
        nbytes = sum(row.nbytes for row in compiled.report.rows)
        return {
            "seconds": dense.median,
            "spread": dense.spread,
            "fastest": twice.floor,
            "torch": torch.median,
            "torch_spread": torch.spread,
            "over_torch": times["dense"].ratio(torch),
            "predicted": predicted.seconds,
            "nbytes": nbytes,
        }
