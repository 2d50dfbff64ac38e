"""A pruned and quantized network classifies digits about as well as its float original."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import tvm_sparse as ts
from support.models import Residual
from tvm_sparse.pruning.masks import Masks
from tvm_sparse.quantization import ranges

BATCH = 120


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        Residual(16, nn.ReLU()),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 48),
        nn.ReLU(),
        nn.Linear(48, 10),
    )


@pytest.fixture(scope="module")
def digits() -> tuple[nn.Module, Tensor, Tensor]:
    """A network pruned in blocks of 4 filters × 4 channels, and images it has not seen."""
    torch.manual_seed(0)
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x = torch.from_numpy(data.images[order, None].astype(np.float32) / 16)
    y = torch.from_numpy(data.target[order])
    seen, unseen, model = slice(0, 1200), slice(1200, 1200 + 4 * BATCH), network()
    _train(model, x[seen], y[seen], 20)
    ts.prune(model, "block_punched-4x4@0.4")
    _train(model, x[seen], y[seen], 12)
    return model.eval(), x[unseen], y[unseen]


def _train(model: nn.Module, x: Tensor, y: Tensor, epochs: int) -> None:
    optimizer, masks = torch.optim.Adam(model.parameters(), 3e-3), Masks(model)
    for _ in range(epochs):
        for part in torch.split(torch.randperm(len(x)), 100):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[part]), y[part])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            masks.apply()


def accuracy(model: object, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        answers = torch.cat([model(part) for part in torch.split(x, BATCH)])  # type: ignore[operator]
    return float((answers.argmax(1) == y).float().mean())


@pytest.mark.parametrize("method", ranges.METHODS)
def test_accuracy_stays_within_one_percent(
    method: str, digits: tuple[nn.Module, Tensor, Tensor]
) -> None:
    model, x, y = digits
    quantized = ts.quantize(model, [x[:BATCH]], method=method)
    compiled = ts.build(quantized)
    assert all(row.is_integer for row in compiled.report)
    assert sum(row.is_sparse for row in compiled.report) >= 2
    expected = accuracy(model, x, y)
    assert expected > 0.95
    assert accuracy(compiled, x, y) >= expected - 0.01
