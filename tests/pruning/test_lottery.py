"""Lottery tickets, and what is made of them: whole boxes, and dense blocks."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import tvm_sparse as ts
from support.pruning import accuracy, batches, fits, kept, network
from tvm_sparse.errors import PruningError
from tvm_sparse.formats.protocol import Mask
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.partition import cut, partition
from tvm_sparse.pruning.pruners.lottery import rounds
from tvm_sparse.pruning.pruners.regroup import blocks
from tvm_sparse.pruning.training import Training, fine_tune
from tvm_sparse.scheme import Scheme

NAMES = ("1.conv2", "2.conv1")


def training(epochs: int = 2) -> Training:
    return Training(batches=batches(), epochs=epochs, rate=0.05)


def test_tickets_have_their_early_values_and_learn() -> None:
    model = network()
    fine_tune(model, training(1))
    early = copy.deepcopy(model.state_dict())
    fine_tune(model, training(1))
    plan = dict.fromkeys(NAMES, "one_by_n-4@0.3")
    ts.prune(model, plan, method="lottery", training=training(), share=0.5, rewind=early)
    for name in NAMES:
        weight = prunable(model)[name]
        live = weight != 0
        assert kept(model, name) == pytest.approx(0.3, abs=0.01)
        assert torch.equal(weight[live], early[f"{name}.weight"][live])
    for name, value in model.state_dict().items():
        assert name.removesuffix(".weight") in NAMES or torch.equal(value, early[name]), name
    fine_tune(model, training(6))
    assert accuracy(model, batches()) > 0.9
    assert kept(model, NAMES[0]) == pytest.approx(0.3, abs=0.01)


def test_a_fifth_goes_each_round_by_default() -> None:
    schemes = {"a": Scheme.parse("unstructured@0.5"), "b": Scheme.parse("unstructured@0.11")}
    assert rounds(schemes, 0.2) == 10
    assert rounds({"a": Scheme.parse("unstructured@0.64")}, 0.2) == 2
    with pytest.raises(PruningError, match="between 0 and 1 of the weights, got 1"):
        rounds(schemes, 1)


def test_refilled_filters_are_those_with_most_of_the_ticket_and_come_back_whole() -> None:
    model = network()
    before = prunable(model)["1.conv2"].detach().clone()
    with torch.no_grad():
        prunable(model)["1.conv2"][:4] *= 3
    now = prunable(model)["1.conv2"].detach().clone()
    assert not torch.equal(now, before)
    ts.prune(model, {"1.conv2": "filter@0.25"}, method="refill")
    assert torch.equal(prunable(model)["1.conv2"][:4], now[:4])
    assert kept(model, "1.conv2") == 0.25


@pytest.mark.parametrize(("extra", "share"), [(0.0, 0.25), (0.5, 0.625), (1.0, 1.0)])
def test_refill_plus_keeps_a_share_of_what_the_ticket_lacks(extra: float, share: float) -> None:
    model = network()
    ts.prune(model, {"1.conv2": "filter@0.25"}, method="refill", extra=extra)
    assert kept(model, "1.conv2") == pytest.approx(share, abs=0.01)


def test_extra_is_a_share() -> None:
    with pytest.raises(PruningError, match="share in"):
        ts.prune(network(), {"1.conv2": "filter@0.5"}, method="refill", extra=2.0)


def hidden(filters: int, sets: int, taps: int, seed: int) -> tuple[Mask, list[set[int]]]:
    """Filters of hidden sets, each keeping its own taps and a few others, shuffled."""
    rng = np.random.default_rng(seed)
    home = rng.permutation(np.repeat(np.arange(sets), filters // sets))
    own = rng.permutation(taps).reshape(sets, -1)
    found = rng.random((filters, taps)) < 0.05
    for row, which in enumerate(home):
        found[row, own[which]] = rng.random(own.shape[1]) < 0.8
    return found, [set(np.nonzero(home == s)[0].tolist()) for s in range(sets)]


@pytest.mark.parametrize("seed", range(4))
def test_the_partitioner_finds_hidden_sets(seed: int) -> None:
    taps, sets = hidden(32, 4, 80, seed)
    found = partition(taps, 8)
    assert {frozenset(s.tolist()) for s in found} == {frozenset(s) for s in sets}
    rng = np.random.default_rng(seed)
    chance = np.split(rng.permutation(32), 4)
    assert cut(taps, found) < 0.8 * cut(taps, list(chance))


@pytest.mark.parametrize(("filters", "size"), [(5, 8), (8, 8), (19, 8), (33, 4), (64, 16)])
def test_every_filter_is_in_one_set_of_the_wanted_size(filters: int, size: int) -> None:
    taps = np.random.default_rng(0).random((filters, 30)) < 0.3
    found = partition(taps, size)
    assert sorted(np.concatenate(found).tolist()) == list(range(filters))
    assert min(map(len, found)) >= min(size, filters)
    assert max(map(len, found)) < 2 * size


def test_blocks_hold_most_of_a_ticket_that_has_them() -> None:
    taps, _ = hidden(32, 4, 80, 0)
    keep = blocks(taps.astype(np.float64), 8)
    assert keep.sum() <= taps.sum()
    assert (keep & taps).sum() > 0.75 * taps.sum()
    assert not blocks(np.zeros((8, 4, 3, 3)), 8).all()


def test_regrouped_layers_fit_and_keep_their_early_values() -> None:
    model = network()
    early = {n: w.detach().clone() for n, w in prunable(model).items()}
    plan = dict.fromkeys(NAMES, "regrouped@0.3")
    ts.prune(model, plan, method="regroup", training=training(), share=0.5)
    for name in NAMES:
        weight = prunable(model)[name].detach()
        assert fits(model, name, "regrouped", ())
        assert kept(model, name) == pytest.approx(0.3, abs=0.03)
        assert torch.equal(weight, early[name] * (weight != 0))
