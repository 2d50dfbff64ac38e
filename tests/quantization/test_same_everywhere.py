"""One integer model gives the same bits on every CPU and GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tvm_sparse as ts
from support import lavapipe, models, programs
from tvm_sparse import targets


class Network(nn.Module):
    """A residual, a depthwise layer, pooling, a sum, and a linear layer that gives floats."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.block = nn.Sequential(
            nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.last = nn.Conv2d(16, 16, 1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.head = nn.Linear(16 * 5 * 5, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first(x))
        y = torch.relu(self.last(self.block(y)) + y)
        y = torch.nn.functional.relu6(self.depthwise(y))
        y = torch.nn.functional.max_pool2d(y, 3, 2, 1)
        y = torch.nn.functional.avg_pool2d(y, 3, 1, 1) + y
        z: Tensor = self.head(y.flatten(1))
        return z


@pytest.fixture(scope="module")
def model() -> tuple[Any, Tensor]:
    """The model in bytes, and an input."""
    torch.manual_seed(0)
    network = models.settle(Network())
    ts.prune(network, {"block.0": "block_punched-4x4@0.3", "last": "block_punched-4x4@0.3"})
    x = torch.randn(2, 3, 19, 19)
    return ts.quantize(network, [x, 2 * x]), x


@pytest.fixture(scope="module")
def expected(model: tuple[Any, Tensor]) -> Any:
    """What this machine's own instructions give."""
    compiled = ts.build(model[0])
    assert all(row.is_integer for row in compiled.report.rows)
    return compiled(model[1]).numpy()


def test_the_output_is_more_than_zeros(expected: Any) -> None:
    assert len(np.unique(expected)) > 10


@pytest.mark.parametrize("target", ["x86-avx2"], indirect=True)
def test_a_cpu_without_dot_products_gives_the_same_bits(
    target: targets.Target, model: tuple[Any, Tensor], expected: Any
) -> None:
    np.testing.assert_array_equal(ts.build(model[0], target)(model[1]).numpy(), expected)


@pytest.mark.arm
@pytest.mark.parametrize("board", ["rpi4", "rpi5"])
def test_a_board_gives_the_same_bits(
    board: str, model: tuple[Any, Tensor], expected: Any, tmp_path: Path
) -> None:
    compiled = ts.build(model[0], board)
    path = compiled.export(tmp_path / "model", kind="executable")
    (y,) = programs.outputs(path, [model[1].numpy()], 1, target=board)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.vulkan
def test_a_gpu_gives_the_same_bits(model: tuple[Any, Tensor], expected: Any) -> None:
    lavapipe.device()
    np.testing.assert_array_equal(ts.build(model[0], "vulkan")(model[1]).numpy(), expected)
