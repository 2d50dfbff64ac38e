from __future__ import annotations

from typing import Any

import torch
from torch import nn

import tvm_sparse as ts

torch.manual_seed(0)


def convolutions(*between: nn.Module, padding: int = 1) -> tuple[Any, torch.Tensor]:
    first, second = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 8, 3, padding=padding)
    return nn.Sequential(first, *between, second).eval(), torch.randn(1, 3, 12, 12)


def weight_shapes(model: nn.Module, x: torch.Tensor) -> list[tuple[int, ...]]:
    compiled = ts.build(model, example_inputs=(x,))
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-5)
    return [row.weight for row in compiled.report]


def test_filters_that_nobody_reads_are_removed() -> None:
    model, x = convolutions(nn.ReLU())
    with torch.no_grad():
        model[-1].weight[:, [2, 5, 11]] = 0
    assert weight_shapes(model, x) == [(13, 3, 3, 3), (8, 13, 3, 3)]


def test_filters_whose_channel_stays_zero_are_removed() -> None:
    model, x = convolutions(nn.ReLU(), nn.MaxPool2d(2))
    with torch.no_grad():
        model[0].weight[4:8] = 0
        model[0].bias[4:8] = torch.tensor([-1.0, -2.0, 0.0, 3.0])
    # The last of the four channels holds 3 everywhere, but not in the padding: it must stay.
    assert weight_shapes(model, x) == [(13, 3, 3, 3), (8, 13, 3, 3)]


def test_what_a_smaller_layer_no_longer_reads_is_removed_in_turn() -> None:
    model: Any = nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5)
    )
    with torch.no_grad():
        model[4].weight[:, 1:] = 0
        model[2].weight[0, 3:] = 0
    shapes = weight_shapes(model.eval(), torch.randn(7, 4))
    assert shapes == [(3, 4), (1, 3), (5, 1)]


def test_channels_are_kept_where_they_influence_others() -> None:
    model, x = convolutions(nn.ReLU(), nn.Softmax(dim=1))
    with torch.no_grad():
        model[-1].weight[:, 0] = 0
    assert weight_shapes(model, x)[0] == (16, 3, 3, 3)


def test_a_layer_that_two_read_keeps_its_filters() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 8, 1)
            self.second = nn.Conv2d(8, 8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.first(x))
            z: torch.Tensor = self.second(y) + y
            return z

    model = Fork().eval()
    with torch.no_grad():
        model.second.weight[:, 0] = 0
    assert weight_shapes(model, torch.randn(1, 3, 5, 5))[0] == (8, 3, 1, 1)


def test_one_filter_stays_when_nothing_matters() -> None:
    model, x = convolutions(nn.ReLU())
    with torch.no_grad():
        model[-1].weight.zero_()
    assert weight_shapes(model, x)[0] == (1, 3, 3, 3)


def test_the_report_tells_what_was_removed() -> None:
    model, x = convolutions(nn.ReLU())
    with torch.no_grad():
        model[-1].weight[:, :4] = 0
    notes = ts.build(model, example_inputs=(x,), database=False).report.notes
    assert notes == ["0: 4 of 16 filters removed"]


def in_blocks_of_four() -> tuple[Any, torch.Tensor]:
    torch.manual_seed(1)
    first, second = nn.Conv2d(24, 32, 3), nn.Conv2d(32, 8, 1)
    model = nn.Sequential(first, nn.ReLU(), second).eval()
    ts.prune(model, {"0": "one_by_n-4@0.25"})
    return model, torch.randn(1, 24, 12, 12)


def test_a_dead_filter_stays_where_its_block_has_live_ones() -> None:
    model, x = in_blocks_of_four()
    with torch.no_grad():
        model[-1].weight[:, [2, 5]] = 0
    assert weight_shapes(model, x) == [(32, 24, 3, 3), (8, 32, 1, 1)]


def test_blocks_without_live_filters_are_removed() -> None:
    model, x = in_blocks_of_four()
    with torch.no_grad():
        model[-1].weight[:, [2, 4, 5, 6, 7]] = 0
    assert weight_shapes(model, x) == [(28, 24, 3, 3), (8, 28, 1, 1)]


def test_channels_stay_where_the_reader_keeps_some_of_every_few_neighbours() -> None:
    model: Any = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64)).eval()
    ts.prune(model, {"2": "nm-1x4@0.25"})
    with torch.no_grad():
        model[0].weight[5] = 0
        model[0].bias[5] = 0
    assert weight_shapes(model, torch.randn(48, 32))[1] == (64, 64)


def test_a_depthwise_layer_between_loses_the_channels_too() -> None:
    model, x = convolutions(
        nn.ReLU6(), nn.Conv2d(16, 16, 3, 2, 1, groups=16), nn.ReLU6(), padding=0
    )
    with torch.no_grad():
        model[-1].weight[:, [2, 5, 11]] = 0
        model[0].weight[7:9] = 0
        model[0].bias[7:9] = torch.tensor([-1.0, 1.0])
        model[2].bias[7:9] = 0
    # One of the two channels holds 1 everywhere, but not in the padding: it must stay.
    assert weight_shapes(model, x) == [(12, 3, 3, 3), (12, 1, 3, 3), (8, 12, 3, 3)]
