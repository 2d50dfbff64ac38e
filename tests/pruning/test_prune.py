from __future__ import annotations

import pytest
import torch
from torch import nn

import tvm_sparse as ts
from tvm_sparse import formats, pruning
from tvm_sparse.errors import FormatError
from tvm_sparse.pruning.masks import Masks


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.Conv2d(16, 32, 3),
        nn.Conv2d(32, 32, 3, groups=32),
        nn.Linear(32, 64),
        nn.Linear(64, 10),
    )


def zeros(model: nn.Sequential, index: int) -> float:
    weight = model[index].weight
    assert isinstance(weight, torch.Tensor)
    return float((weight == 0).float().mean())


def test_one_scheme_prunes_all_but_the_first_last_and_depthwise_layers() -> None:
    model = network()
    assert ts.prune(model, "block_punched-8x4@0.25") is model
    assert [zeros(model, i) for i in range(5)] == [0.0, 0.75, 0.0, 0.75, 0.0]


def test_signals_and_joint_projections_are_pruned_too() -> None:
    model = nn.Sequential(
        nn.Conv1d(2, 16, 3), nn.Conv1d(16, 16, 3), nn.MultiheadAttention(16, 2), nn.Conv1d(16, 2, 1)
    )
    ts.prune(model, "one_by_n-4@0.25")
    signal, attention = model[1].weight, model[2].in_proj_weight
    assert isinstance(signal, torch.Tensor) and isinstance(attention, torch.Tensor)
    assert [float((w == 0).float().mean()) for w in (signal, attention)] == [0.75, 0.75]
    assert Masks(model).density == pytest.approx(0.3)


def test_a_plan_names_its_layers() -> None:
    model = network()
    ts.prune(model, {"0": "one_by_n-4@0.5", "4": ts.Scheme(format="unstructured", density=0.1)})
    assert [round(zeros(model, i), 2) for i in range(5)] == [0.5, 0.0, 0.0, 0.0, 0.9]


@pytest.mark.parametrize("name", [n for n in formats.names() if n != "dense"])
def test_every_format_leaves_zeros_that_it_detects(name: str) -> None:
    model = network()
    block = {"nm": "-2x4", "pattern": "-5x8"}.get(name)
    block = block or {0: "", 1: "-4", 2: "-4x4"}[len(formats.get(name).blocks[0])]
    ts.prune(model, {"1": f"{name}{block}@0.5"})
    weight = model[1].weight
    assert isinstance(weight, torch.Tensor)
    assert formats.get(name).detect(weight.detach().numpy()) is not None
    assert zeros(model, 1) == pytest.approx(0.5, abs=0.05)


def test_layers_that_the_scheme_does_not_suit_are_left_as_they_are() -> None:
    model = network()
    ts.prune(model, "pattern-4x8@0.25")
    assert [round(zeros(model, i), 2) for i in range(5)] == [0.0, 0.75, 0.0, 0.0, 0.0]


def test_the_largest_weights_stay() -> None:
    model = network()
    before = model[3].weight
    assert isinstance(before, torch.Tensor)
    original = before.detach().abs().clone()
    ts.prune(model, {"3": "unstructured@0.5"})
    kept = before.detach() != 0
    assert original[kept].min() >= original[~kept].max()


def test_masks_keep_zeros_through_training_with_momentum_and_decay() -> None:
    model = nn.Sequential(nn.Linear(32, 64), nn.Linear(64, 10))
    ts.prune(model, {"0": "block-4x1@0.25"})
    masks = Masks(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        model(torch.randn(4, 32)).square().sum().backward()
        optimizer.step()
        masks.apply()
    assert zeros(model, 0) == 0.75
    assert masks.density == pytest.approx((0.25 * 32 * 64 + 640) / (32 * 64 + 640))


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ("no_format@0.5", "unknown format"),
        ("block@0.5", "takes 2 block sizes"),
        ("nm-2x4@0.6", "use nm-3x4"),
        ("nm-5x4@0.5", "N <= M <= 16"),
        ("periodic-64x1@0.1", "suits no layer"),
        ({"3": "pattern-4x8@0.2"}, "use nm or unstructured"),
        ({"9": "unstructured@0.5"}, "no prunable layer '9'"),
        ({"2": "unstructured@0.5"}, "no prunable layer '2'"),
    ],
)
def test_plans_that_make_no_sense_are_refused(plan: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        ts.prune(network(), plan)  # type: ignore[arg-type]


def test_unknown_methods_are_refused_with_the_known_ones() -> None:
    assert "magnitude" in pruning.methods()
    with pytest.raises(FormatError, match=r"expected one of .*magnitude"):
        ts.prune(network(), "unstructured@0.5", method="magic")
