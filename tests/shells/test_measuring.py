"""Tuning and profiling on machines without TVM: that times are of valid runs, not how long."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import tvm_sparse as ts
from support import faults, tuning
from support.reached import Machine
from tvm_sparse import targets
from tvm_sparse.cli import app
from tvm_sparse.errors import DeviceError
from tvm_sparse.targets import Target
from tvm_sparse.tuning import candidate, folder, provenance, records
from tvm_sparse.tuning.arguments import Arguments
from tvm_sparse.tuning.places import place, programs
from tvm_sparse.tuning.places.find import find
from tvm_sparse.tuning.places.place import Place
from tvm_sparse.tuning.progress import Progress

pytestmark = pytest.mark.arm

RPI4, ARMV7 = (replace(targets.load(name), cores=2) for name in ("rpi4", "armv7"))


def reaching(machine: Machine) -> dict[str, Any]:
    return {"runner": machine.runner, "host": machine.host or None}


def tune(target: Target, machine: Machine, database: Path, **options: Any) -> Path:
    given = {"example_inputs": tuning.X, "database": database, "workers": 1, **options}
    return ts.tune(tuning.model(), target, **given, **reaching(machine))


def test_tuning_by_ssh_measures_kernels_there(board: Machine, tmp_path: Path) -> None:
    told: list[Progress] = []
    path = tune(RPI4, board, tmp_path / "logs", trials=3, cpus=[0, 0], progress=told.append)
    assert (told[-1].done, told[-1].total, told[-1].failures) == (3, 3, {})
    (measured,) = records.by_task(folder.reading(path)).values()
    assert all(seconds > 0 for one in measured for seconds in [*one.times, *one.compared])
    origin = provenance.read(path) or {}
    assert (origin["cpu"], origin["vectors"], origin["pinned"]) == (
        "Raspberry Pi 4",
        "asimd",
        "0,0",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ts.build(tuning.model(), RPI4, example_inputs=tuning.X, database=path)
    assert not list(board.folder.glob("tvm_sparse-*"))


def test_what_was_measured_stays_when_a_phone_goes_away(phone: Machine, tmp_path: Path) -> None:
    def lose(state: Progress) -> None:
        if state.stage == "measured the default kernels":
            phone.lose()

    with pytest.raises(DeviceError, match=r"lost phone: .*; what was measured is kept: tune again"):
        tune(ARMV7, phone, tmp_path / "logs", trials=2, progress=lose)
    assert len(folder.reading(tmp_path / "logs").get_all_tuning_records()) == 1


def test_a_profile_by_ssh_is_of_kernels_alone(
    board: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvm_sparse.profiling.profile._ROUNDS", (2, 2))
    monkeypatch.setattr("tvm_sparse.profiling.profile._FINER", 0)
    monkeypatch.setattr("tvm_sparse.profiling.profile._AGAIN", 0)
    torch.manual_seed(0)
    layers = [nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 4, 1), nn.Softmax(1)]
    table = ts.profile(
        nn.Sequential(*layers).eval(),
        RPI4,
        example_inputs=torch.zeros(1, 8, 6, 6),
        schemes=["one_by_n-4"],
        densities=[0.25],
        database=tmp_path / "table",
        **reaching(board),
    )
    cells = {(cell.key.split()[0].split("-")[0], str(cell.scheme)) for cell in table.cells}
    assert ("conv2d", "one_by_n-4@0.25/32") in cells
    assert all(cell.seconds > 0 for cell in table.cells)
    assert table.provenance["kernels"] == "alone"


def sent(found: Place, at: Path, library: Any, scale: float = 1.0) -> str:
    """A candidate that is called with an input and an output."""
    arrays = (np.full(8, scale, np.float32), np.full(8, np.nan, np.float32))
    given = Arguments(arrays=arrays, constants=(), name="sum", cores=1)
    return found.export(
        candidate.Built(library=library, folder=at, arguments=given, triple=RPI4.triple)
    )


def adding() -> Any:
    """A library whose main adds an input to itself."""
    import tvm
    from tvm.script import tirx as T

    @T.prim_func(s_tir=True)
    def main(x: T.Buffer((8,), "float32"), y: T.Buffer((8,), "float32")):  # type: ignore[no-untyped-def,valid-type]
        for i in range(8):
            with T.sblock("y"):
                y[i] = x[i] + x[i]

    return tvm.compile(tvm.IRModule({"main": main}), RPI4.to_tvm())


def test_candidates_that_fail_are_told_from_those_that_run(
    board: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_SECONDS", 1)
    found = find(RPI4, **reaching(board))
    runner = found.runner(tmp_path)
    right = adding()
    candidates = [
        sent(found, tmp_path / "1", right),
        sent(found, tmp_path / "2", right, scale=2.0),
        sent(found, tmp_path / "3", faults.calling("pause", "rpi4", 2)),
        sent(found, tmp_path / "4", faults.calling("abort", "rpi4", 2)),
        sent(found, tmp_path / "5", right),
    ]
    results = place.run(runner, candidates)
    assert [len(one.run_secs or []) for one in results] == [5, 0, 0, 0, 5]
    errors = [str(one.error_msg) for one in results[1:4]]
    assert errors[0].startswith("wrong output: relative error 1.0e+00")
    assert errors[1:] == ["took longer than 1 s", "crashed"]


def test_a_board_that_hangs_ends_the_search(
    board: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find(RPI4, **reaching(board))
    candidates = [sent(found, tmp_path / str(i), adding()) for i in range(2)]
    board.hang()
    monkeypatch.setattr("tvm_sparse.shells.shell._TRANSFER", 3.0)
    results = place.run(found.runner(tmp_path), candidates)
    assert all(place.is_lost(one.error_msg) for one in results)
    assert "did not answer within 3 s" in str(results[0].error_msg)


def test_code_that_a_board_cannot_run_is_refused(board: Machine) -> None:
    with pytest.raises(DeviceError, match="lacks asimddp, asimdhp, which rpi5 needs"):
        find("rpi5", **reaching(board))
    with pytest.raises(DeviceError, match="is aarch64, the code is for x86-avx2"):
        find("x86-avx2", **reaching(board))
    assert find("armv7", **reaching(board)).target.name == "armv7"


def test_a_machine_is_named_by_what_reaches_it() -> None:
    with pytest.raises(DeviceError, match="expected runner='ssh' with a host"):
        find("rpi4", runner="ssh")
    with pytest.raises(DeviceError, match="a tracker and a key, or a runner and a host, not both"):
        find("rpi4", tracker="lab", key="rpi4", runner="adb")
    command = ["tune", "none.onnx", "--target", "rpi4", "--host", "pi@board", "--cpus", "4,5"]
    assert "got runner=None, host='pi@board'" in str(CliRunner().invoke(app, command).exception)
