"""Filters in another order: the model computes what it did."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import tvm_sparse as ts
from support.models import Perceptron, mixed, settle
from support.pruning import fits, network
from tvm_sparse.bench import networks
from tvm_sparse.errors import PruningError
from tvm_sparse.pruning import channel_flow
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.pruners.rearranged import rearrange


def same_function(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Rearrange every layer; check that outputs stay, and return what moved."""
    settle(model)
    with torch.no_grad():
        before = model(x)
        moved = rearrange(model, list(prunable(model)))
        after = model(x)
    assert float((after - before).abs().max()) <= 1e-5 * float(before.abs().max())
    return {name: order for name, order in moved.items() if not is_sorted(order)}


def is_sorted(order: Tensor) -> bool:
    return bool((order == torch.arange(len(order))).all())


def test_residual_networks_compute_the_same_and_shortcuts_are_sorted_together() -> None:
    moved = same_function(network(), torch.randn(2, 2, 5, 5))
    assert set(moved) == {"0", "1.conv1", "1.conv2", "2.conv1", "2.conv2", "2.shortcut"}
    assert torch.equal(moved["0"], moved["1.conv2"])
    assert torch.equal(moved["2.conv2"], moved["2.shortcut"])
    assert not torch.equal(moved["0"], moved["1.conv1"])


def test_groups_keep_their_order_and_depthwise_layers_follow() -> None:
    model, x = mixed()
    moved = same_function(model, x)
    assert {"0", "13"} <= set(moved)  # around them: batch norm, depthwise; pooling, flattening
    assert not {"6", "9", "16"} & set(moved)  # reads into groups, groups, the output


class Squeezed(nn.Module):
    """Channels scaled by what is pooled of them, in both ways of writing it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.down, self.up = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.act = nn.PReLU(8)
        self.mid = nn.Conv2d(8, 6, 3)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.stem(x))
        scale = torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True)))))
        y: Tensor = self.head(self.mid(x * scale).mean(dim=(2, 3)))
        return y


def test_squeeze_and_excitation_is_followed() -> None:
    torch.manual_seed(0)
    moved = same_function(Squeezed(), torch.randn(2, 3, 8, 8))
    assert set(moved) == {"stem", "down", "up", "mid"}
    assert torch.equal(moved["stem"], moved["up"])


class Tangled(nn.Module):
    """Everything that ties an order: two calls, views, concatenation, softmax, parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.joined = nn.Conv2d(4, 4, 3, padding=1)
        self.viewed = nn.Conv2d(8, 4, 1)
        self.rows = nn.Linear(6, 6)
        self.scaled = nn.Conv2d(4, 4, 1)
        self.scale = nn.Parameter(torch.rand(4, 1, 1))
        self.last = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(self.twice(x))
        x = self.viewed(torch.cat([x, self.joined(x)], 1))
        x = self.rows(x).softmax(1)
        x = self.scaled(x) * self.scale
        y: Tensor = self.last(x)
        return y.reshape(x.shape[0], -1)


def test_orders_that_something_depends_on_stay() -> None:
    torch.manual_seed(0)
    assert same_function(Tangled(), torch.randn(2, 4, 6, 6)) == {}


def test_tied_weights_stay() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))
    model[2].weight = model[0].weight
    assert same_function(model, torch.randn(3, 6)) == {}


def test_hidden_features_of_a_transformer_s_perceptron_move() -> None:
    torch.manual_seed(0)
    assert set(same_function(Perceptron(8, 16), torch.randn(2, 3, 8))) == {"up"}


def test_inverted_residuals_compute_the_same() -> None:
    moved = same_function(*networks.network("mobilenet_v2", 32, 10))
    assert len(moved) > 30


def test_sorted_filters_keep_more_of_the_weights_in_the_same_blocks() -> None:
    torch.manual_seed(0)
    model = network(32)
    with torch.no_grad():
        for weight in prunable(model).values():
            weight.mul_(torch.rand(len(weight), *[1] * (weight.dim() - 1)) ** 2)
    plain = copy.deepcopy(model)
    plan = {"1.conv1": "one_by_n-4@0.25", "2.conv2": "one_by_n-4@0.25"}
    ts.prune(model, plan, method="rearranged")
    ts.prune(plain, plan)
    for name in plan:
        assert fits(model, name, "one_by_n", (4,))
        assert prunable(model)[name].abs().sum() > 1.1 * prunable(plain)[name].abs().sum()


def test_models_that_cannot_be_traced_are_refused_with_a_way_out() -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(PruningError, match="use method magnitude"):
        channel_flow.find(Branch())
