"""Methods that prepare zeros while they train: reweighted groups and ADMM."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import tvm_sparse as ts
from support.pruning import batches, kept, network
from tvm_sparse import formats
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.training import Training

PLAN = dict.fromkeys(("1.conv2", "2.conv1", "2.conv2"), "one_by_n-4@0.3")


def training(epochs: int = 6) -> Training:
    return Training(batches=batches(), epochs=epochs, rate=0.1)


def lost(method: str, **options: float) -> float:
    """The share of the weights' norm that is cut off when training ends."""
    model = network()
    weights, before = prunable(model), dict[str, Tensor]()

    def note(done: int, steps: int, loss: float) -> None:
        before.update({name: weights[name].detach().clone() for name in PLAN})

    given = Training(batches=batches(), epochs=9, rate=0.1, tell=note)
    ts.prune(model, PLAN, method=method, training=given, **options)
    return max(float((w - weights[name].detach()).norm() / w.norm()) for name, w in before.items())


def test_reweighting_draws_what_goes_to_zero_before_it_goes() -> None:
    assert lost("reweighted", strength=10.0) < 0.2 < lost("reweighted", strength=0.0)


def test_admm_draws_what_goes_to_zero_before_it_goes() -> None:
    assert lost("admm", first=1.0, last=30.0) < 0.3 < lost("admm", first=1e-9, last=1e-9)


def test_one_strength_gives_every_layer_a_ratio_of_its_own() -> None:
    model = network()
    ts.prune(model, PLAN, method="reweighted", training=training(), strength=10.0)
    found = {name: kept(model, name) for name in PLAN}
    assert len({round(share, 2) for share in found.values()}) == 3
    sizes = {name: prunable(model)[name].numel() for name in PLAN}
    total = sum(found[name] * sizes[name] for name in PLAN) / sum(sizes.values())
    assert total == pytest.approx(0.3, abs=0.01)


def test_with_a_threshold_a_larger_strength_leaves_less() -> None:
    shares = []
    for strength in (0.1, 3.0, 30.0):
        model = network()
        ts.prune(
            model, PLAN, method="reweighted", training=training(), strength=strength, threshold=0.1
        )
        shares.append(sum(kept(model, name) for name in PLAN))
    assert shares[0] > shares[1] > shares[2]


def test_admm_ends_at_the_density_of_each_layer() -> None:
    model = network()
    ts.prune(model, PLAN, method="admm", training=training(2))
    for name in PLAN:
        assert kept(model, name) == pytest.approx(0.3, abs=0.01)
        weight = prunable(model)[name].detach()
        assert formats.get("one_by_n").fits(weight.numpy(), (4,))
    assert torch.isfinite(model(batches()[0][0])).all()
