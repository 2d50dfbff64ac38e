from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support.formats import blocks
from tvm_sparse import formats
from tvm_sparse.errors import PruningError
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.thresholds import densities
from tvm_sparse.scheme import Scheme


def network(times: float = 10) -> nn.Sequential:
    """Two layers, the weights of the second several times as large."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(16, 24, 3), nn.Conv2d(24, 32, 3))
    with torch.no_grad():
        prunable(model)["1"].mul_(times)
    return model


def kept(model: nn.Module) -> list[float]:
    return [float((w != 0).float().mean()) for w in prunable(model).values()]


def scheme(name: str) -> str:
    block = blocks(name)[0]
    return f"{name}-{'x'.join(map(str, block))}@0.3" if block else f"{name}@0.3"


@pytest.mark.parametrize("name", [n for n in formats.names() if n != "dense"])
def test_one_threshold_keeps_as_much_as_the_schemes_say_where_weights_are_large(name: str) -> None:
    model = network()
    ts.prune(model, dict.fromkeys("01", scheme(name)), scope="model")
    first, second = kept(model)
    sizes = [w.numel() for w in prunable(model).values()]
    total = (first * sizes[0] + second * sizes[1]) / sum(sizes)
    assert total == pytest.approx(0.3, abs=0.04)
    assert first < 0.3 < second
    for weight in prunable(model).values():
        assert formats.get(name).fits(weight.detach().numpy(), blocks(name)[0])


def test_the_threshold_is_one_for_all_layers() -> None:
    model = network(1.3)
    before = {name: w.detach().clone() for name, w in prunable(model).items()}
    ts.prune(model, dict.fromkeys("01", "one_by_n-4@0.3"), scope="model")
    alive: list[float] = []
    dead: list[float] = []
    for name, weight in prunable(model).items():
        boxes = before[name].abs().reshape(-1, 4, weight.shape[1], 9).mean(dim=(1, 3))
        stays = (weight.reshape(-1, 4, weight.shape[1], 9) != 0).any(3).any(1)
        alive += boxes[stays].tolist()
        dead += boxes[~stays].tolist()
    assert min(alive) >= max(dead)


def test_a_given_threshold_decides_how_much_stays() -> None:
    scores = {"a": np.array([[1.0, 2], [3, 4]]), "b": np.array([[0.0, 0], [0, 9]])}
    schemes = dict.fromkeys(scores, Scheme(format="unstructured", density=0.5))
    assert densities(scores, schemes, 2.5) == {"a": 0.5, "b": 0.25}
    assert densities(scores, schemes, 10) == {"a": 0.25, "b": 0.25}
    assert densities(scores, schemes) == {"a": 0.75, "b": 0.25}


def test_options_and_scopes_that_do_not_exist_are_refused() -> None:
    with pytest.raises(PruningError, match="'layer' or 'model', got 'world'"):
        ts.prune(network(), {"1": "unstructured@0.5"}, scope="world")
    with pytest.raises(PruningError, match="takes no 'scale'; expected scope"):
        ts.prune(network(), {"1": "unstructured@0.5"}, scale=3)
