from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import kernels, tuning
from tvm_sparse import targets
from tvm_sparse.errors import DatabaseError
from tvm_sparse.frontend import import_model
from tvm_sparse.tuning import folder, records
from tvm_sparse.tuning.extract import extract
from tvm_sparse.tuning.progress import Progress

TRIALS = 3
X, model = tuning.X, tuning.model


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Progress]]:
    told: list[Progress] = []
    path = tmp_path_factory.mktemp("logs") / "x86"
    found = ts.tune(
        model(), example_inputs=X, trials=TRIALS, database=path, workers=1, progress=told.append
    )
    assert found == path
    return path, told


def test_all_candidates_are_valid_and_the_default_is_among_them(
    tuned: tuple[Path, list[Progress]],
) -> None:
    path, told = tuned
    assert told[-1].done == told[-1].total == TRIALS
    assert told[-1].failed == 0
    assert 0 < told[-1].milliseconds <= told[-1].default
    (task,) = extract(import_model(model(), (X,), None), targets.load("x86"))
    (measured,) = records.by_task(folder.reading(path)).values()
    assert len(measured) >= TRIALS
    assert all(task.chosen(one.sample) is not None for one in measured)
    default = next(one for one in measured if one.sample == task.default)
    assert len(default.times) > 1 or default.compared
    assert json.loads((path / "provenance.json").read_text())["target"] == "x86"


def test_a_second_call_has_nothing_left_to_do(tuned: tuple[Path, list[Progress]]) -> None:
    told: list[Progress] = []
    before = (tuned[0] / folder.RECORDS).read_bytes()
    ts.tune(model(), example_inputs=X, trials=TRIALS, database=tuned[0], progress=told.append)
    assert [state.stage for state in told] == ["looking at the database"]
    assert (tuned[0] / folder.RECORDS).read_bytes() == before


def test_the_command_line_goes_on_from_there(
    tuned: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    torch.export.save(torch.export.export(model(), (X,)), tmp_path / "model.pt2")
    command = [sys.executable, "-m", "tvm_sparse", "tune", str(tmp_path / "model.pt2"), "--json"]
    options = ["--trials", str(TRIALS), "--database", str(tuned[0])]
    done = subprocess.run(command + options, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"database": str(tuned[0])}


def test_build_uses_what_was_measured_to_be_faster(tmp_path: Path) -> None:
    (task,) = extract(import_model(model(), (X,), None), targets.load("x86"))
    other = tuning.samples(task, 1)[0]
    entries = [
        (task, task.default, [[2e-5] * records.ROUNDS]),
        (task, other, [[1e-5] * records.ROUNDS]),
    ]
    with folder.writing(tmp_path, task.target) as database:
        for entry in entries:
            tuning.record(database, *entry)
    compiled = ts.build(model(), example_inputs=(X,), database=tmp_path)
    (row,) = compiled.report.rows
    chosen = task.chosen(other)
    assert chosen is not None and row.kernel == str(chosen.kernel)
    assert row.reason == "tuned: 0.01 ms alone, 2.00× as fast as predicted best"
    kernels.assert_close(compiled(X), model()(X).detach())


@pytest.mark.parametrize("sparse", [True, False])
def test_build_uses_it_for_dense_layers_too(tmp_path: Path, sparse: bool) -> None:
    layers = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Conv2d(16, 24, 1)).eval()
    tasks = extract(import_model(layers, X, None), targets.load("x86"))
    with folder.writing(tmp_path, tasks[0].target) as database:
        for task in tasks:
            (other,) = tuning.samples(task, 2)[-1:]
            tuning.record(database, task, task.default, [[2e-5] * records.ROUNDS])
            tuning.record(database, task, other, [[1e-5] * records.ROUNDS])
    compiled = ts.build(layers, example_inputs=X, database=tmp_path, sparse=sparse)
    for row in compiled.report.rows:
        assert (row.stored, row.reason[:5]) == ("dense", "tuned")
    kernels.assert_close(compiled(X), layers(X).detach())


def test_records_of_another_version_are_ignored_with_a_word(tmp_path: Path) -> None:
    (task,) = extract(import_model(model(), (X,), None), targets.load("x86"))
    with folder.writing(tmp_path, task.target) as database:
        tuning.record(database, task, task.default, [1.0])
    file = tmp_path / "provenance.json"
    file.write_text(file.read_text().replace('"tvm_sparse": "', '"tvm_sparse": "0.0.'))
    with pytest.warns(UserWarning, match=r"is ignored: its records are of tvm_sparse 0.0"):
        compiled = ts.build(model(), example_inputs=(X,), database=tmp_path)
    assert compiled.report.rows[0].reason.startswith("predicted")


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvm_sparse.tuning.tune.find_spec", lambda name: None)
    with pytest.raises(DatabaseError, match=r"tuning needs xgboost, cloudpickle, psutil: pip"):
        ts.tune(model(), example_inputs=X)


def test_a_network_without_layers_has_nothing_to_tune(tmp_path: Path) -> None:
    told: list[Progress] = []
    ts.tune(
        nn.ReLU().eval(), example_inputs=torch.zeros(1, 8), database=tmp_path, progress=told.append
    )
    assert told[-1].total == 0
    assert np.isfinite(told[-1].default)
