"""A pruned and quantized network classifies digits about as well as its float original."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from onnxruntime.quantization import QuantFormat
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import tvm_sparse as ts
from support import quantized_modules, quantized_onnx
from support.models import Residual
from tvm_sparse.frontend.torch_quantized_modules import spell_modules
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


def check(compiled: ts.Compiled, model: nn.Module, x: Tensor, y: Tensor) -> None:
    assert all(row.is_integer for row in compiled.report)
    assert sum(row.is_sparse for row in compiled.report) >= 2
    expected = accuracy(model, x, y)
    assert expected > 0.95
    assert accuracy(compiled, x, y) >= expected - 0.01


def accuracy(model: object, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        answers = torch.cat([model(part) for part in torch.split(x, BATCH)])  # type: ignore[operator]
    return float((answers.argmax(1) == y).float().mean())


@pytest.mark.parametrize("method", ranges.METHODS)
def test_accuracy_stays_within_one_percent(
    method: str, digits: tuple[nn.Module, Tensor, Tensor]
) -> None:
    model, x, y = digits
    check(ts.build(ts.quantize(model, [x[:BATCH]], method=method)), model, x, y)


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator], ids=str)
def test_so_it_does_if_onnx_runtime_quantized_it(
    form: QuantFormat, digits: tuple[nn.Module, Tensor, Tensor], tmp_path: Path
) -> None:
    model, x, y = digits
    path = quantized_onnx.quantized(model, x[:BATCH], tmp_path, quant_format=form)
    check(ts.build(path), model, x, y)


def test_so_it_does_if_torch_quantized_it(digits: tuple[nn.Module, Tensor, Tensor]) -> None:
    model, x, y = digits
    integers = quantized_modules.quantized(without_norms(model), [x[:BATCH]])
    program = torch.export.export(spell_modules(integers, (x[:BATCH],)), (x[:BATCH],))
    check(ts.build(program), model, x, y)


def without_norms(model: nn.Module) -> nn.Module:
    """The network with its batch norms folded, and its sum as a module, as torch wants them."""
    first, norm, relu, pool, block, *rest = model.children()
    assert isinstance(block, Residual)
    assert isinstance(first, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    residual = quantized_modules.Residual(16)
    residual.conv = fuse_conv_bn_eval(block.conv, block.norm)
    layers = fuse_conv_bn_eval(first, norm), relu, pool, residual, *rest
    return copy.deepcopy(nn.Sequential(*layers))
