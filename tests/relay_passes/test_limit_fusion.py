from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tvm_sparse as ts
from support import kernels
from support.naive import naive_loops


class Excite(nn.Module):
    """Squeeze and excite: a convolution of one pixel scales a whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(32, 8, 1)
        self.excite = nn.Conv2d(8, 32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.excite(torch.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1))))
        return torch.relu(F.hardsigmoid(gate) * x)


class Outer(nn.Module):
    """A matrix product of one column, added to every column."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(self.project(x) + x)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    ("model", "shape"), [(Excite(), (32, 28, 28)), (Outer(), (20, 16))], ids=["pixel", "column"]
)
def test_results_that_scale_larger_tensors_are_no_epilogue(
    model: nn.Module, shape: tuple[int, ...], batch: int
) -> None:
    x = torch.randn(batch, *shape)
    compiled = ts.build(model.eval(), example_inputs=(x,))
    with torch.inference_mode():
        kernels.assert_close(compiled(x), model(x))
    assert compiled.mod is not None
    assert naive_loops(compiled.mod) == []


def test_epilogues_of_the_same_size_are_still_fused() -> None:
    model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Hardswish()).eval()
    compiled = ts.build(model, example_inputs=(torch.randn(1, 4, 10, 10),))
    assert compiled.mod is not None
    names = [var.name_hint for var, _ in compiled.mod.functions_items()]
    assert len(names) == 2, names


def test_smooth_activations_in_a_row_do_not_explode() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), *[nn.Mish(), nn.Softplus(), nn.Tanh()] * 2).eval()
    x = torch.randn(1, 3, 10, 10)
    compiled = ts.build(model, example_inputs=(x,))
    with torch.inference_mode():
        kernels.assert_close(compiled(x), model(x))
    assert compiled.mod is not None
    longest = max(len(str(func)) for _, func in compiled.mod.functions_items())
    assert longest < 200_000
