"""Tuning and profiling on emulated boards: that every time is of a valid run, never how long it is.

Emulation tells nothing about how fast a board is.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import emulated, faults, tuning
from tvm_sparse import targets
from tvm_sparse.errors import DeviceError
from tvm_sparse.latency import LatencyTable
from tvm_sparse.rpc import tracker as trackers
from tvm_sparse.rpc.address import Address
from tvm_sparse.tuning import candidate, folder, provenance, records
from tvm_sparse.tuning.lines import RECORDS
from tvm_sparse.tuning.places import boards
from tvm_sparse.tuning.progress import Progress

pytestmark = [pytest.mark.arm, pytest.mark.rpc, pytest.mark.xdist_group("boards")]

RPI4, RPI5 = (replace(targets.load(name), cores=1) for name in ("rpi4", "rpi5"))
TRIALS = 6


def once_defaults_are_measured(act: Callable[[], None]) -> Callable[[Progress], None]:
    """Act when the search begins."""

    def tell(state: Progress) -> None:
        if state.stage == "measured the default kernels":
            act()

    return tell


def free(tracker: Address, key: str) -> int:
    return next((one.free for one in trackers.boards(tracker) if one.key == key), 0)


def came_back(tracker: Address, number: int) -> bool:
    """Wait until as many boards are free."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        if sum(one.free for one in trackers.boards(tracker)) >= number:
            return True
        time.sleep(0.1)
    return False


def test_tuning_goes_on_when_kernels_crash_and_hang_and_a_board_loses_its_power(
    tracker: Address, rpi4: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate, "build", faults.Calling(candidate.build, ("abort", "pause")))
    monkeypatch.setattr(boards, "_SESSION", 12)
    told: list[Progress] = []
    with emulated.served(tracker, "cortex-a72", rpi4) as doomed:

        def stop_when_busy() -> None:
            ends = time.monotonic() + 5
            while free(tracker, rpi4) and time.monotonic() < ends:
                time.sleep(0.01)
            emulated.stop(doomed)

        killer = threading.Thread(target=stop_when_busy)
        kill = once_defaults_are_measured(killer.start)

        def tell(state: Progress) -> None:
            told.append(state)
            kill(state)

        path = ts.tune(
            tuning.model(),
            RPI4,
            example_inputs=tuning.X,
            trials=TRIALS,
            database=tmp_path,
            tracker=str(tracker),
            key=rpi4,
            workers=1,
            progress=tell,
        )
        killer.join()
        assert doomed.poll() is not None
    assert told[-1].done == told[-1].total == TRIALS
    assert told[-1].failures == {"crashed": 1, "took longer than 12 s": 1}
    (measured,) = records.by_task(folder.reading(path)).values()
    assert len(measured) >= TRIALS
    assert sorted(one.failures for one in measured)[-3:] == [0, 1, 1]
    assert all(seconds > 0 for one in measured for seconds in [*one.times, *one.compared])
    origin = provenance.read(path)
    assert origin is not None
    assert (origin["target"], origin["microarchitecture"], origin["cores"]) == (
        "rpi4",
        "cortex-a72",
        "1",
    )
    assert origin["vectors"] == "asimd"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = ts.build(tuning.model(), RPI4, example_inputs=tuning.X, database=path).report
    assert "measured" in report.rows[0].reason or "tuned" in report.rows[0].reason


def test_a_search_goes_on_where_it_was_when_its_tracker_died(
    tracker_process: emulated.TrackerProcess,
    rpi4: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tvm_sparse.tuning.places.retrying._PATIENCE", 0.0)
    tracker = tracker_process.address
    number = sum(len(one.addresses) for one in trackers.boards(tracker))

    def tune(tell: Callable[[Progress], None] = lambda state: None) -> None:
        ts.tune(
            tuning.model(),
            RPI4,
            example_inputs=tuning.X,
            trials=2,
            database=tmp_path,
            tracker=str(tracker),
            key=rpi4,
            workers=1,
            progress=tell,
        )

    with pytest.raises(DeviceError, match=r"no tracker at .* is kept: tune again"):
        tune(once_defaults_are_measured(tracker_process.stop))
    before = (tmp_path / RECORDS).read_bytes()
    assert before.count(b"\n") == 1
    tracker_process.start()
    assert came_back(tracker, number)
    tune()
    after = (tmp_path / RECORDS).read_bytes()
    assert after.startswith(before)
    (measured,) = records.read(tmp_path).values()
    assert len(measured) >= 2
    assert not any(one.failures for one in measured)


def test_code_that_boards_cannot_run_is_refused_before_anything_is_built(
    tracker: Address, rpi4: str, tmp_path: Path
) -> None:
    where: dict[str, Any] = {"tracker": str(tracker), "key": rpi4, "example_inputs": tuning.X}
    for target, said in (
        ("rpi5", r"board 'rpi4' .* lacks asimddp, asimdhp, which rpi5 needs: build"),
        ("x86-avx2", r"board 'rpi4' is aarch64, the code is for x86-avx2"),
    ):
        for measure in (ts.tune, ts.profile):
            with pytest.raises(DeviceError, match=said):
                measure(tuning.model(), target, database=tmp_path, **where)
    assert not [*tmp_path.iterdir()]


def layers() -> nn.Module:
    torch.manual_seed(0)
    found = [nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 1), nn.ReLU()]
    return nn.Sequential(*found, nn.Conv2d(16, 8, 1), nn.Softmax(1)).eval()


def test_a_profile_on_a_board_is_of_kernels_alone(
    tracker: Address, rpi5: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvm_sparse.profiling.profile._ROUNDS", (1, 1))
    monkeypatch.setattr("tvm_sparse.profiling.profile._FINER", 0)
    monkeypatch.setattr("tvm_sparse.profiling.profile._AGAIN", 0)

    def profile() -> LatencyTable:
        return ts.profile(
            layers(),
            RPI5,
            example_inputs=torch.zeros(1, 8, 6, 6),
            schemes=["one_by_n-4"],
            densities=[0.25],
            database=tmp_path,
            tracker=str(tracker),
            key=rpi5,
        )

    table = profile()
    cells = {(cell.key.split()[0].split("-")[0], str(cell.scheme)) for cell in table.cells}
    assert ("conv2d", "block-4x1@0.25/32") in cells
    assert ("conv2d", "dense@1.0/32") in cells
    assert any(name.startswith("fast_softmax") for name, _ in cells)
    assert all(cell.seconds > 0 and cell.runs >= 1 for cell in table.cells)
    assert table.provenance["kernels"] == "alone"
    assert "asimddp" in table.provenance["vectors"].split()
    known = len(table)
    assert len(profile()) == known
