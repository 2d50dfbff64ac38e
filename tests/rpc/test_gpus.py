"""Measuring on a board's GPU: lavapipe, served by this machine."""

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

pytestmark = [pytest.mark.vulkan, pytest.mark.rpc, pytest.mark.xdist_group("boards")]

KEY = "gpu"


@pytest.fixture(scope="module")
def served() -> Iterator[Address]:
    lavapipe.device()
    tracker = emulated.TrackerProcess()
    with emulated.native(tracker.address, KEY):
        yield tracker.address
    tracker.stop()


def test_kernels_are_timed_on_a_gpu_elsewhere(
    served: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvm_sparse.profiling.profile._ROUNDS", (1, 1))
    monkeypatch.setattr("tvm_sparse.profiling.profile._FINER", 0)
    monkeypatch.setattr("tvm_sparse.profiling.profile._AGAIN", 0)
    table = ts.profile(
        tuning.model(),
        "vulkan",
        example_inputs=tuning.X,
        schemes=["one_by_n-4"],
        densities=[0.2],
        database=tmp_path,
        tracker=str(served),
        key=KEY,
    )
    cells = {str(cell.scheme): cell for cell in table.cells}
    assert set(cells) == {"dense@1.0/32", "one_by_n-4@0.2/32"}
    assert all(cell.seconds > 0 for cell in table.cells)
    assert table.provenance["board"] == KEY
    assert table.provenance["device"].startswith("llvmpipe")


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
