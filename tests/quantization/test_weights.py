"""Bits for each layer: by a number, by name, or from a plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import relax as modules
from tvm_sparse.errors import FormatError, ModelError
from tvm_sparse.planning.plan import Plan, Planned
from tvm_sparse.precision import Precision
from tvm_sparse.relay_passes import record
from tvm_sparse.scheme import Scheme

torch.manual_seed(0)
X = torch.rand(2, 4, 7, 7)
NET = nn.Sequential(
    nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Flatten(),
    nn.Linear(8 * 25, 70), nn.ReLU(), nn.Linear(70, 33),
).eval()  # fmt: skip
LINEAR = nn.Sequential(nn.Linear(200, 70), nn.ReLU(), nn.Linear(70, 33)).eval()
ROWS = torch.rand(3, 200)
BITS = {"0": 8, "2": 16, "5": 4, "7": "int4-32"}


def bits(model: object) -> dict[str, int]:
    return {row.name: row.bits for row in ts.build(model).report}


def expected() -> npt.NDArray[np.float32]:
    with torch.inference_mode():
        return np.asarray(NET(X))


def test_every_layer_gets_its_bits_and_a_saved_model_keeps_them(tmp_path: Path) -> None:
    mixed = ts.quantize(NET, [X], BITS)
    compiled = ts.build(mixed)
    assert {row.name: row.bits for row in compiled.report} == {"0": 8, "2": 16, "5": 4, "7": 4}
    assert compiled.report.summary.startswith("1 of 4 layers int8, 2 in 4 bits, 1 in 16 bits, ")
    four = compiled.report["5"]
    assert four.nbytes < four.dense_nbytes / 5 and "by 64 channels" in four.kernel
    y = ts.load(compiled.export(tmp_path / "model.so"))(X).numpy()
    np.testing.assert_array_equal(y, compiled(X).numpy())
    assert np.abs(y - expected()).max() < 0.1 * np.abs(expected()).max()


def test_kernels_of_few_bits_compute_what_the_rounded_model_does() -> None:
    rounded = ts.quantize(LINEAR, bits={"0": 4, "2": "float16"}, example_inputs=(ROWS,))
    y = modules.run(rounded, ROWS.numpy())
    assert np.abs(ts.build(rounded)(ROWS).numpy() - y).max() < 1e-4 * np.abs(y).max()


@pytest.mark.parametrize("rows", [(3,), (2, 3)], ids=["matrix", "nested rows"])
def test_powers_of_two_are_multiplied_with_inputs_in_their_bases(rows: tuple[int, ...]) -> None:
    x = torch.rand(*rows, 200)
    dealt = ts.quantize(LINEAR, bits="power_of_two", example_inputs=(x,))
    compiled, y = ts.build(dealt), modules.run(dealt, x.numpy())
    assert {row.name: row.bits for row in compiled.report} == {"0": 4, "2": 4}
    assert np.abs(compiled(x).numpy() - y).max() < 1e-4 * np.abs(y).max()
    assert compiled.report.notes[0].startswith("0: powers of two times 50 bases of 4 × 4, 3.1 KiB")


def test_a_plan_says_the_bits_of_each_layer(tmp_path: Path) -> None:
    schemes = {"0": "dense@1.0/8", "2": "block_punched-16x1@0.2/4"}
    layers = {
        name: Planned(scheme=Scheme.parse(text), seconds=1, dense_seconds=1, error=0, nbytes=1,
                      measured=False)
        for name, text in schemes.items()
    }  # fmt: skip
    numbers = dict.fromkeys(
        ("seconds", "dense_seconds", "nbytes", "error", "reach", "search_seconds"), 1.0
    )
    plan = Plan(layers=layers, budget="1ms", strategy="search", target="x86", **numbers)
    plan = Plan.read(plan.save(tmp_path / "plan.json"))
    assert bits(ts.quantize(LINEAR, [ROWS], plan)) == {"0": 8, "2": 4}
    assert "dense@1.0/8" in str(plan)


def test_zeros_stay_zeros_and_are_skipped() -> None:
    net = nn.Sequential(nn.Linear(512, 64)).eval()
    ts.prune(net, {"0": "one_by_n-16@0.1"})
    row = ts.build(ts.quantize(net, bits=4, example_inputs=(torch.rand(1, 512),))).report["0"]
    assert row.is_sparse and row.density <= 0.1 and row.bits == 4


def test_groups_are_those_of_the_channels_that_are_left() -> None:
    net = nn.Sequential(nn.Linear(40, 64, bias=False), nn.ReLU(), nn.Linear(64, 24)).eval()
    ts.prune(net, {"0": "filter@0.5"})
    report = ts.build(ts.quantize(net, bits=4, group=16, example_inputs=(ROWS[:, :40],))).report
    assert {row.name: (row.weight, row.bits) for row in report} == {
        "0": ((32, 40), 4),
        "2": ((24, 32), 4),
    }


def test_four_bits_for_all_leave_convolutions_in_float() -> None:
    noted = record.precisions(ts.quantize(NET, [X], 4, skip=["7"]))
    assert noted == {"5": Precision.parse(4)}


def test_weights_that_changed_after_rounding_stay_in_float_and_are_named() -> None:
    floats = ts.quantize(LINEAR, bits=32, example_inputs=(ROWS,))
    report = ts.build(record.with_precisions(floats, {"0": Precision.parse(4)})).report
    assert report["0"].bits == 32
    assert any(note.startswith("0 stays in float: its weights are not") for note in report.notes)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"0": 4}, "layer '0' cannot have weights of int4-64: four bits are for linear layers"),
        ({"last": 4}, "no such layer; layers: 0, 2, 5, 7"),
        ("int4-30", "group of 30 channels: expected a multiple of 8"),
        ("half", "int4-32: by groups of 32 channels.*, got half"),
    ],
)
def test_mistakes_say_what_was_expected(wanted: object, message: str) -> None:
    with pytest.raises((FormatError, ModelError), match=message):
        ts.quantize(NET, bits=wanted, example_inputs=(X,))
