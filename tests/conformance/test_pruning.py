"""Every pruning method, into every format: the zeros obey the format's law, and are exact."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support.formats import blocks
from support.pruning import batches, fits, kept, network
from tvm_sparse import formats, pruning
from tvm_sparse.errors import FormatError, PruningError
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.training import Training

DENSITY = 0.3
LAYERS = ("1.conv2", "2.conv1")
CASES = [
    (method, name)
    for method in pruning.methods()
    for name in pruning.makes(method)
    if name != "dense"
]


def scheme(name: str) -> str:
    block = blocks(name)[0]
    return f"{name}-{'x'.join(map(str, block))}@{DENSITY}" if block else f"{name}@{DENSITY}"


def needed(method: str) -> dict[str, Any]:
    given = {"data": batches(1), "training": Training(batches=batches(1), epochs=2, rate=0.01)}
    return {what: given[what] for what in pruning.needs(method)}


@pytest.mark.parametrize(("method", "name"), CASES)
def test_zeros_obey_the_law_of_their_format(method: str, name: str) -> None:
    model = network(8)
    before = {n: w.detach().clone() for n, w in prunable(model).items()}
    ts.prune(model, dict.fromkeys(LAYERS, scheme(name)), method=method, **needed(method))
    sizes = {layer: before[layer].numel() for layer in LAYERS}
    total = sum(kept(model, layer) * sizes[layer] for layer in LAYERS) / sum(sizes.values())
    assert total == pytest.approx(DENSITY, abs=0.06)
    for layer in LAYERS:
        assert fits(model, layer, name, blocks(name)[0]), layer
    for layer, weight in prunable(model).items():
        assert weight.isfinite().all()
        assert layer in LAYERS or kept(model, layer) == 1.0


@pytest.mark.parametrize("method", [m for m, name in CASES if name == "unstructured"])
def test_signals_linear_layers_and_groups_are_pruned_too(method: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(2, 8, 3), nn.Conv1d(8, 8, 3, groups=2), nn.Flatten(), nn.Linear(32, 3)
    )
    data = [(torch.randn(16, 2, 8), torch.randint(3, (16,)))]
    given = {"data": data, "training": Training(batches=data, epochs=1, rate=0.01)}
    names = ("0", "1", "3")
    needed = {what: given[what] for what in pruning.needs(method)}
    ts.prune(model, dict.fromkeys(names, "unstructured@0.5"), method=method, **needed)
    for name in names:
        assert 0 < kept(model, name) < 1


@pytest.mark.parametrize("method", pruning.methods())
def test_what_a_method_lacks_is_said(method: str) -> None:
    plan = {"1.conv2": scheme(pruning.makes(method)[-1])}
    for what in pruning.needs(method):
        with pytest.raises(PruningError, match=f"method {method} needs {what}=…"):
            ts.prune(network(), plan, method=method)
    with pytest.raises(PruningError, match="takes no 'colour'; expected"):
        ts.prune(network(), plan, method=method, colour=1, **needed(method))


@pytest.mark.parametrize("method", [m for m in pruning.methods() if len(pruning.makes(m)) == 1])
def test_methods_for_one_format_refuse_the_others(method: str) -> None:
    with pytest.raises(FormatError, match=f"method {method} makes zeros of format"):
        ts.prune(network(), {"1.conv2": "block-4x4@0.5"}, method=method)


def test_methods_are_named_by_their_files_and_helpers_are_none() -> None:
    assert set(pruning.methods()) == {
        "admm",
        "exact_obs",
        "inherited",
        "least_squares",
        "lottery",
        "magnitude",
        "patterns",
        "rearranged",
        "refill",
        "regroup",
        "reweighted",
        "sparse_gpt",
    }
    assert {name for name in formats.names() if name in pruning.makes("magnitude")} == set(
        formats.names()
    )
