"""The sum of two 1×1 convolutions is one convolution of both inputs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import tvm_sparse as ts
from support import kernels


class Block(nn.Module):
    """The end of a residual block whose shortcut is a convolution."""

    def __init__(self, filters: int = 40, stride: int = 1, norm: bool = True) -> None:
        super().__init__()
        self.inner = nn.Conv2d(8, 12, 3, stride, 1)
        self.last = nn.Conv2d(12, filters, 1, bias=False)
        self.shortcut = nn.Conv2d(8, filters, 1, stride, bias=not norm)
        self.norms = nn.ModuleList([nn.BatchNorm2d(filters) if norm else nn.Identity()] * 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norms[0](self.last(torch.relu(self.inner(x))))
        return torch.relu(y + self.norms[1](self.shortcut(x)))


def layers(model: nn.Module, batch: int = 1, sparse: bool = True) -> list[str]:
    """The layers of a model's report; its outputs are torch's."""
    torch.manual_seed(0)
    x = torch.randn(batch, 8, 13, 11)
    compiled = ts.build(model.eval(), example_inputs=(x,), sparse=sparse)
    with torch.inference_mode():
        kernels.assert_close(compiled(x), model(x))
    return [row.name for row in compiled.report]


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("norm", [True, False])
def test_a_shortcut_that_is_a_convolution_is_computed_with_the_last_one(
    norm: bool, sparse: bool
) -> None:
    assert layers(Block(norm=norm), 2, sparse) == ["inner", "last + shortcut"]


def test_pruned_weights_are_joined_too() -> None:
    model = Block()
    ts.prune(model, "one_by_n-4@0.3")
    assert "last + shortcut" in layers(model)


def test_both_are_stored_in_the_same_bits_or_stay_apart() -> None:
    x = torch.randn(1, 8, 13, 11)
    for bits, names in ((16, ["last + shortcut"]), ({"last": 16}, ["last", "shortcut"])):
        report = ts.build(ts.quantize(Block().eval(), bits=bits, example_inputs=(x,))).report
        found = {row.name: row.bits for row in report if row.name != "inner"}
        assert list(found) == names and found[names[0]] == 16


def test_a_shortcut_with_a_stride_reads_other_positions() -> None:
    assert layers(Block(stride=2)) == ["inner", "last", "shortcut"]


def test_inputs_of_more_channels_than_the_sum_are_not_copied() -> None:
    assert layers(Block(filters=16)) == ["inner", "last", "shortcut"]


def test_a_sum_of_a_convolution_and_its_input_stays() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(x) + x
            return y

    assert layers(Plain()) == ["conv"]


def test_a_convolution_that_another_layer_reads_stays() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Conv2d(8, 32, 1), nn.Conv2d(8, 32, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.one(x)
            both: Tensor = (y + self.other(x)) * y
            return both

    assert layers(Fork()) == ["one", "other"]
