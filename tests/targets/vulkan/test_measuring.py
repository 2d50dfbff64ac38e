"""Tuning and profiling on the device: what is measured is valid, and used; never how fast it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import tvm
from torch import nn
from tvm.s_tir import dlight

import tvm_sparse as ts
from support import kernels, tuning
from tvm_sparse import targets
from tvm_sparse.errors import TargetError
from tvm_sparse.frontend import import_model
from tvm_sparse.profiling.network import estimate
from tvm_sparse.schedules import gpu_rules
from tvm_sparse.tuning import folder, provenance, records, tune
from tvm_sparse.tuning.extract import extract
from tvm_sparse.tuning.progress import Progress
from tvm_sparse.tuning.task import Task

pytestmark = pytest.mark.vulkan

TRIALS = 4


def task() -> Task:
    (found,) = extract(import_model(tuning.model(), (tuning.X,), None), targets.load("vulkan"))
    return found


@torch.no_grad()
def test_a_tuned_kernel_is_used_by_the_next_build(
    device: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "ROUNDS", 3)
    monkeypatch.setattr(tune, "_FINAL", TRIALS + 1)  # nothing is left to compare
    told: list[Progress] = []
    where: dict[str, Any] = {"example_inputs": tuning.X, "trials": TRIALS, "database": tmp_path}
    ts.tune(tuning.model(), "vulkan", **where, workers=1, progress=told.append)
    assert told[-1].done == told[-1].total == TRIALS and told[-1].failed == 0
    (measured,) = records.read(tmp_path).values()
    assert len(measured) >= TRIALS and all(task().chosen(one.sample) for one in measured)
    origin = provenance.read(tmp_path)
    assert origin is not None and origin["device"].startswith("llvmpipe") and origin["driver"]

    told.clear()
    ts.tune(tuning.model(), "vulkan", **where, progress=told.append)
    assert [state.stage for state in told] == ["looking at the database"]

    other = next(one.sample for one in measured if one.sample != task().default)
    with folder.writing(tmp_path, task().target) as database:
        tuning.record(database, task(), other, [[1e-9] * records.ROUNDS] * 3)
    compiled = ts.build(tuning.model(), "vulkan", example_inputs=tuning.X, database=tmp_path)
    (row,), chosen = compiled.report.rows, task().chosen(other)
    assert chosen is not None and row.kernel == str(chosen.kernel)
    assert row.reason.startswith("tuned: ")
    kernels.assert_close(compiled(tuning.X).numpy(), tuning.model()(tuning.X).numpy())


def test_records_hold_for_one_device_and_driver(device: Any, tmp_path: Path) -> None:
    target = targets.load("vulkan")
    with folder.writing(tmp_path, target):
        pass
    assert provenance.foreign(tmp_path, target) == ""
    file = tmp_path / "provenance.json"
    file.write_text(file.read_text().replace('"driver": "', '"driver": "9.'))
    assert provenance.foreign(tmp_path, target).startswith("driver 9.")
    assert provenance.foreign_class(tmp_path, target).startswith("driver 9.")  # of packaged ones


def test_a_workgroup_over_the_limits_of_a_device_is_refused_in_clear_words() -> None:
    found = task()
    bound = found.implemented(found.default)
    assert bound is not None
    limits = {"max_threads_per_block": 64, "max_shared_memory_per_block": 1024}
    small = tvm.target.Target({"kind": "vulkan", "max_num_threads": 64, **limits}, host="llvm")
    said = r"takes 128 threads of at most 64 and \d+ shared bytes of at most 1024 on vulkan: take a"
    with small, pytest.raises(TargetError, match=said):
        dlight.ApplyDefaultSchedule(*gpu_rules())(tvm.IRModule({"main": bound.func}))


@torch.no_grad()
def test_a_profile_plans_a_network_for_the_device(
    device: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvm_sparse.profiling.profile._ROUNDS", (1, 1))
    monkeypatch.setattr("tvm_sparse.profiling.profile._FINER", 0)
    monkeypatch.setattr("tvm_sparse.profiling.profile._AGAIN", 0)
    torch.manual_seed(0)
    middle = [nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Flatten(2), nn.Linear(36, 64)]
    net = nn.Sequential(nn.Conv2d(4, 16, 1), *middle, nn.Linear(64, 8)).eval()
    x = torch.zeros(1, 4, 6, 6)
    grid: dict[str, Any] = {"schemes": ["one_by_n-4"], "densities": [0.1, 0.25]}

    def profile() -> ts.LatencyTable:
        return ts.profile(net, "vulkan", example_inputs=x, database=tmp_path, **grid)

    table = profile()
    cells = {(cell.key.split("@")[0], str(cell.scheme)): cell for cell in table.cells}
    assert cells["conv2d-16x16x3x3", "one_by_n-4@0.1/32"].kernel.startswith("block_punched-4x1")
    assert cells["linear-64x36", "dense@1.0/32"].kernel == "TVM's own"
    assert ("linear-64x36", "block-4x1@0.25/32") in cells
    assert table.provenance["kernels"] == "alone"
    assert table.provenance["device"].startswith("llvmpipe")
    assert len(profile()) == len(table)  # nothing is measured again
    ts.prune(net, {"1": "one_by_n-4@0.17"})
    parts = {part.name: part for part in estimate(net, table, "vulkan", example_inputs=x).parts}
    assert not parts["1"].latency.measured and parts["1"].latency.seconds > 0
    plan = ts.plan(net, table, "1.05x", target="vulkan", example_inputs=x, strategy="dp")
    assert plan.target == "vulkan" and plan.seconds <= plan.dense_seconds / 1.04
