from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

import tvm_sparse as ts
from support.pruning import accuracy, batches, fits, kept, network
from tvm_sparse.errors import PruningError
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.pruners.inherited import ladder
from tvm_sparse.pruning.training import Training
from tvm_sparse.scheme import Scheme


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize(
    "text", ["nm-1x8@0.125", "nm-2x4@0.3", "one_by_n-4@0.2", "pattern-4x8@0.1"]
)
def test_every_mask_lies_within_the_one_before(text: str, trained: bool) -> None:
    model, seen = network(), list[tuple[Scheme, Tensor]]()

    def note(stage: int, schemes: Mapping[str, Scheme]) -> None:
        assert stage == len(seen)
        seen.append((schemes["2.conv1"], prunable(model)["2.conv1"].detach() != 0))

    training = Training(batches=batches(1), epochs=3, rate=0.05) if trained else None
    ts.prune(model, {"2.conv1": text}, method="inherited", training=training, each_stage=note)
    assert len(seen) == 3
    assert seen[-1][0] == Scheme.parse(text)
    for (scheme, mask), (_, parent) in zip(seen[1:], seen, strict=False):
        assert not (mask & ~parent).any()
        assert mask.sum() < parent.sum()
        assert float(mask.float().mean()) == pytest.approx(scheme.density, abs=0.02)
    last = Scheme.parse(text)
    assert fits(model, "2.conv1", last.format, last.block)


def test_the_stages_of_n_of_m_are_n_of_m() -> None:
    steps = ladder(Scheme.parse("nm-1x4@0.25"), torch.zeros(8, 16, 3, 3), 3)
    assert [str(step) for step in steps] == [
        "nm-3x4@0.75/32",
        "nm-2x4@0.5/32",
        "nm-1x4@0.25/32",
    ]
    steps = ladder(Scheme.parse("block-4x4@0.125"), torch.zeros(8, 16), 3)
    np.testing.assert_allclose([step.density for step in steps], [0.5, 0.25, 0.125])


def test_weights_change_places_within_a_stage_while_they_are_trained() -> None:
    masks = []
    for strength in (0.0, 20.0):
        model = network()
        before = prunable(model)["1.conv2"].detach().abs()
        training = Training(batches=batches(), epochs=4, rate=0.2)
        plan = {"1.conv2": "unstructured@0.5"}
        ts.prune(model, plan, method="inherited", training=training, stages=1, strength=strength)
        masks.append(prunable(model)["1.conv2"].detach() != 0)
        first = before >= before.median()
        assert kept(model, "1.conv2") == pytest.approx(0.5, abs=0.01)
        assert 0 < (masks[-1] != first).float().mean() < 0.5
    moved = [(mask != first).float().mean() for mask in masks]
    assert moved[1] < moved[0]  # the pull holds back what is about to go
    assert accuracy(model, batches()) > 0.5


def test_there_is_a_stage_at_least() -> None:
    with pytest.raises(PruningError, match="at least one stage, got 0"):
        ts.prune(network(), {"1.conv1": "nm-2x4@0.5"}, method="inherited", stages=0)
