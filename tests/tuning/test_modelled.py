"""Without a board, kernels are ranked by modelled cycles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tvm_sparse as ts
from support import tuning
from tvm_sparse import targets
from tvm_sparse.errors import DeviceError, TargetError
from tvm_sparse.frontend import import_model
from tvm_sparse.tuning import folder, records
from tvm_sparse.tuning.extract import extract
from tvm_sparse.tuning.places.find import find
from tvm_sparse.tuning.progress import Progress

TRIALS = 2


@pytest.mark.arm
@pytest.mark.usefixtures("modelling")
def test_kernels_for_a_board_that_is_not_here_are_tuned(tmp_path: Path) -> None:
    told: list[Progress] = []
    ts.tune(
        tuning.model(),
        "rpi4",
        example_inputs=tuning.X,
        trials=TRIALS,
        database=tmp_path,
        runner="cycles",
        workers=1,
        progress=told.append,
    )
    assert told[-1].failed == 0
    (measured,) = records.by_task(folder.reading(tmp_path)).values()
    assert len(measured) >= TRIALS
    (task,) = extract(import_model(tuning.model(), (tuning.X,), None), targets.load("rpi4"))
    default = next(one for one in measured if one.sample == task.default)
    macs = 16 * 9 * 32 * 12 * 12 * 0.2  # those on non-zeros, four of them a cycle at most
    assert macs / 4 / 1.5e9 < min(default.times) < 2 * macs / 4 / 1.5e9
    cpu = json.loads((tmp_path / "provenance.json").read_text())["cpu"]
    assert cpu == "cortex-a72, modelled cycles"


def test_only_cores_that_are_modelled_can_be_tuned_so() -> None:
    with pytest.raises(TargetError, match="cycles are modelled for cortex-a53"):
        find("x86", runner="cycles")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"runner": "guess"}, "runner='adb' or 'cycles', got runner='guess'"),
        ({"runner": "cycles", "key": "rpi4"}, "or a runner and a host, not both"),
        ({"runner": "cycles", "host": "pi"}, "expected no host and no cpus"),
    ],
)
def test_what_does_not_fit_together_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(DeviceError, match=said):
        find("rpi4", **options)
