"""Whole networks built for Vulkan."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support.models import Perceptron, Residual, mixed, settle
from tvm_sparse.bench import networks
from tvm_sparse.errors import TargetError

pytestmark = pytest.mark.vulkan


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@torch.no_grad()
def test_a_network_with_many_operators_equals_torch(device: Any, tmp_path: Path) -> None:
    model, x = mixed()
    compiled = ts.build(model, "vulkan", example_inputs=(x,), sparse=False)
    assert error(compiled(x), model(x)) < 1e-4


@torch.no_grad()
def test_an_exported_network_runs_in_a_fresh_process_without_this_package(
    device: Any, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model, x = Perceptron(24, 40).eval(), torch.randn(5, 24)
    compiled = ts.build(model, "vulkan", example_inputs=(x,))
    file = compiled.export(tmp_path / "model.so")
    assert error(ts.load(file)(x), model(x)) < 1e-4
    np.save(tmp_path / "x.npy", x.numpy())
    script = (
        "import numpy as np, sys, tvm; from tvm import relax\n"
        "vm = relax.VirtualMachine(tvm.runtime.load_module('model.so'), tvm.vulkan())\n"
        "y = vm['main'](tvm.runtime.tensor(np.load('x.npy'), tvm.vulkan()))\n"
        "np.save('y.npy', y.numpy())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert error(torch.from_numpy(np.load(tmp_path / "y.npy")), model(x)) < 1e-4


@torch.no_grad()
def test_a_pruned_resnet18_equals_torch(device: Any) -> None:
    model, x = networks.pruned("resnet18", "one_by_n-4@0.2", 64)
    compiled = ts.build(model, "vulkan", example_inputs=(x,))
    assert sum(row.is_sparse for row in compiled.report) == 19
    assert error(compiled(x), model(x)) < 1e-4


@torch.no_grad()
def test_a_network_in_halves_equals_torch(device: Any) -> None:
    torch.manual_seed(0)
    model = settle(nn.Sequential(nn.Conv2d(8, 32, 1), nn.ReLU6(), Residual(32, nn.SiLU())))
    ts.prune(model, {"0": "nm-1x4@0.25", "2.conv": "one_by_n-4@0.2"})
    x = torch.randn(2, 8, 9, 9)
    compiled = ts.build(model, "vulkan", example_inputs=(x,), dtype="float16")
    assert all(row.is_sparse and row.found.endswith("/16") for row in compiled.report)
    found = compiled(x)
    assert found.dtype == torch.float32
    assert 1e-6 < error(found, model(x)) < 1e-2


@torch.no_grad()
def test_a_pruned_transformer_equals_torch(device: Any) -> None:
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True).eval()
    ts.prune(model, {"linear1": "one_by_n-8@0.2", "linear2": "one_by_n-8@0.2"})
    x = torch.randn(2, 17, 32)
    expected = model(x)
    compiled = ts.build(model, "vulkan", example_inputs=(x,))
    assert sum(row.is_sparse for row in compiled.report) == 2
    assert error(compiled(x), expected) < 1e-4


def test_a_device_without_halves_is_refused(device: Any) -> None:
    plain = ts.Target(name="plain", tvm={"kind": "vulkan"})
    with pytest.raises(TargetError, match="'plain' does not multiply and add halves"):
        ts.build(nn.Linear(4, 4), plain, example_inputs=torch.zeros(1, 4), dtype="float16")
