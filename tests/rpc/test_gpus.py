"""Tuning on a board's GPU: lavapipe, served by this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import tvm_sparse as ts
from support import emulated, lavapipe, tuning
from tvm_sparse import targets
from tvm_sparse.errors import DeviceError
from tvm_sparse.rpc.address import Address
from tvm_sparse.tuning import provenance, records
from tvm_sparse.tuning.progress import Progress

pytestmark = [pytest.mark.vulkan, pytest.mark.rpc, pytest.mark.xdist_group("boards")]

KEY = "gpu"


@pytest.fixture(scope="module")
def served() -> Iterator[Address]:
    lavapipe.device()
    tracker = emulated.TrackerProcess()
    with emulated.native(tracker.address, KEY):
        yield tracker.address
    tracker.stop()


def test_kernels_are_tuned_on_a_gpu_elsewhere(served: Address, tmp_path: Path) -> None:
    told: list[Progress] = []
    ts.tune(
        tuning.model(),
        "vulkan",
        example_inputs=tuning.X,
        trials=2,
        database=tmp_path,
        tracker=str(served),
        key=KEY,
        workers=1,
        progress=told.append,
    )
    assert told[-1].done == told[-1].total == 2 and told[-1].failed == 0
    (measured,) = records.read(tmp_path).values()
    assert all(seconds > 0 for one in measured for seconds in one.times)
    origin = provenance.read(tmp_path)
    assert origin is not None and origin["board"] == KEY
    assert origin["device"].startswith("llvmpipe")


def test_a_profile_of_more_than_the_device_has_is_refused(served: Address, tmp_path: Path) -> None:
    own = {"kind": "vulkan", "max_threads_per_block": 1 << 14}
    larger = replace(targets.load("vulkan"), name="larger", tvm=own)
    with pytest.raises(DeviceError, match=r"'larger' allows takes 16384 threads of at most"):
        ts.tune(
            tuning.model(),
            larger,
            example_inputs=tuning.X,
            database=tmp_path,
            tracker=str(served),
            key=KEY,
        )
