"""Tables of modelled cycles."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from tvm_sparse.bench import cycles_table
from tvm_sparse.bench.cycles import CycleRow, model_layers
from tvm_sparse.cycles import tools
from tvm_sparse.errors import DeviceError

ROW = CycleRow(
    case="32→16 1×1 @112",
    set="mobilenet_v2",
    scheme="one_by_n-4@0.2",
    zeros=0.8,
    target="rpi4",
    core="cortex-a72",
    sparse=5e5,
    dense=2e6,
    of_peak=0.7,
    inner=0.97,
    dense_inner=0.96,
    stored="one_by_n-4@0.2",
)


def test_a_table_says_what_was_modelled_and_what_was_left_out() -> None:
    slower = dataclasses.replace(ROW, case="other", sparse=2e6, stored="dense", number=3)
    text = cycles_table.markdown([ROW, slower])
    assert "| 32→16 1×1 @112 | one_by_n-4@0.2 | 80% | rpi4 | 0.5 | 2 | 4.00 | 0.70 |" in text
    assert "1.00 (stays dense)" in text
    assert "2 cases, 2.00× own dense (worst 1.00×), 1.23× together" in text
    assert "not measured" in text
    assert json.loads(json.dumps(cycles_table.to_json([ROW])))["rows"][0]["ratio"] == 4.0


@pytest.mark.arm
@pytest.mark.usefixtures("modelling")
def test_a_pruned_layer_takes_fewer_cycles_than_the_dense_one() -> None:
    (row,) = model_layers("mobilenet_v2", ["one_by_n-4@0.2"], ["rpi4"], limit=1)
    assert row.zeros == pytest.approx(0.8, abs=0.01)
    assert 2 < row.ratio < 5
    assert 0.5 < row.of_peak < row.inner < 1


def test_what_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    tools.qemu.cache_clear()
    tools.llvm.cache_clear()
    with pytest.raises(DeviceError, match=r"no qemu-aarch64.*apt-get install qemu-user llvm-19"):
        tools.qemu()
    with pytest.raises(DeviceError, match=r"no llvm-mca.*apt-get install qemu-user llvm-19"):
        tools.llvm("llvm-mca")


def test_an_old_llvm_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tools.llvm.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "llvm-mca" else None)
    monkeypatch.setattr(tools, "run", lambda command: "Debian LLVM version 14.0.6")
    with pytest.raises(DeviceError, match="expected LLVM 17 or newer, got 14"):
        tools.llvm("llvm-mca")
