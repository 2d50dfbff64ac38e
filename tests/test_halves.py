from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import formats, models, programs
from tvm_sparse import halves, targets
from tvm_sparse.choose import choose
from tvm_sparse.errors import ModelError, TargetError
from tvm_sparse.implement import chosen
from tvm_sparse.layer import Layer


def linear(weight: float = 0.1) -> nn.Module:
    found = nn.Linear(24, 16)
    nn.init.constant_(found.weight, weight)
    return found.eval()


@pytest.mark.arm
@pytest.mark.parametrize(("name", "block"), formats.cases(), ids=str)
def test_every_format_computes_in_halves(name: str, block: tuple[int, ...], tmp_path: Path) -> None:
    torch.manual_seed(0)
    first = nn.Conv2d(16, 32, 3, stride=2, padding=1)
    weight = formats.pruned(first.weight.detach().numpy(), name, block)
    first.weight.data = torch.from_numpy(weight)
    model = nn.Sequential(first, nn.ReLU(), nn.Conv2d(32, 16, 1)).eval()
    same(model, torch.randn(2, 16, 14, 14), tmp_path)


@pytest.mark.arm
def test_a_network_computes_in_halves(tmp_path: Path) -> None:
    model, x = models.mixed()
    ts.prune(model, "one_by_n-4@0.3")
    same(model, x, tmp_path)


def same(model: nn.Module, x: torch.Tensor, folder: Path) -> None:
    """Run a model in halves on an emulated Cortex-A76 and compare it with torch."""
    compiled = ts.build(model, "rpi5", example_inputs=(x,), dtype="float16")
    program = compiled.export(folder / "model", kind="executable")
    (y,) = programs.outputs(program, [x.numpy()], 1, target="rpi5")
    with torch.inference_mode():
        expected = model(x).numpy()
    assert y.dtype == np.float32 and not np.array_equal(y, expected)
    assert np.abs(y - expected).max() <= 1e-2 * np.abs(expected).max()


def test_weights_in_halves_take_half_of_the_memory_and_are_named_so() -> None:
    layer = Layer(op="conv2d", weight=(32, 16, 3, 3), input=(1, 14, 14), padding=(1, 1, 1, 1))
    x = torch.zeros(1, 16, 14, 14)
    model = nn.Conv2d(16, 32, 3, padding=1).eval()
    ts.prune(model, {"": "one_by_n-4@0.25"})
    wide, half = (
        ts.build(model, "rpi5", example_inputs=(x,), dtype=dtype).report.rows[0]
        for dtype in ("float32", "float16")
    )
    assert (wide.dense_nbytes, half.dense_nbytes) == (layer.taps * 32 * 4, layer.taps * 32 * 2)
    assert half.nbytes < wide.nbytes
    assert wide.stored.endswith("/32") and half.stored.endswith("/16")


def test_registers_hold_twice_as_many_halves() -> None:
    target = targets.load("rpi5")
    assert target.has_halves and target.in_halves.lanes == 2 * target.lanes == 8
    assert not targets.load("rpi4").has_halves


def test_indices_stay_what_they_are() -> None:
    target = targets.load("rpi5")
    layer = Layer(op="conv2d", weight=(8, 8, 3, 3), input=(1, 9, 9), dtype="float16")
    weight = np.zeros(layer.weight, np.float32)
    weight[:, ::2, 1, 1] = 0.5
    wide = chosen(choose(layer, weight, halves.unit(layer, target)), weight)
    half = halves.typed(wide, layer)
    kinds = [
        (a.dtype.name, b.dtype.name) for a, b in zip(wide.constants, half.constants, strict=True)
    ]
    assert kinds[0] == ("float32", "float16")
    assert all(before == after for before, after in kinds[1:])


def test_a_target_without_halves_is_refused() -> None:
    with pytest.raises(TargetError, match="'rpi4' does not multiply and add halves: build in"):
        ts.build(linear(), "rpi4", example_inputs=torch.zeros(4, 24), dtype="float16")


def test_a_weight_that_is_too_large_is_refused() -> None:
    with pytest.raises(ModelError, match="too large for float16"):
        ts.build(linear(1e6), "rpi5", example_inputs=torch.zeros(4, 24), dtype="float16")
