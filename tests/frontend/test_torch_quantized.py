"""What torch quantized itself, as modules or as an exported program, runs as integers."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import quantized_modules
from support.quantized_modules import Joined, Residual
from tvm_sparse.errors import ModelError
from tvm_sparse.frontend.torch_quantized_modules import spell_modules
from tvm_sparse.frontend.torch_quantized_programs import register

LAYERS = ["module.0", "module.2.conv", "module.3.left", "module.3.right", "module.5", "module.8"]


def network() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 16, 20)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.MaxPool2d(3, 2, 1),
        Residual(16),
        Joined(16, 8, 12),
        nn.AvgPool2d(2),
        nn.Conv2d(20, 32, 3, stride=2, padding=1),
        nn.ReLU6(),
        nn.Flatten(),
        nn.Linear(192, 10),
    )
    return quantized_modules.quantized(model, [x]), x


def assert_within_a_step(compiled: ts.Compiled, model: nn.Module, x: torch.Tensor) -> None:
    with torch.no_grad():
        expected = model(x)
    step = model.get_submodule("module.8").scale
    assert float((compiled(x) - expected).abs().max()) <= 1.01 * step  # type: ignore[operator]
    assert all(row.is_integer for row in compiled.report)
    assert compiled.report.notes == []


def test_quantized_modules_give_the_same_bytes() -> None:
    model, x = network()
    compiled = ts.build(model, example_inputs=(x,), database=False)
    assert_within_a_step(compiled, model, x)
    assert [row.name for row in compiled.report] == LAYERS


def test_quantized_programs_are_read_from_files(tmp_path: Path) -> None:
    model, x = network()
    program = torch.export.export(spell_modules(model, (x,)), (x,))
    names = {str(node.target) for node in program.graph.nodes}
    assert "quantized_decomposed.dequantize_per_channel.default" in names
    torch.export.save(program, tmp_path / "program.pt2")
    compiled = ts.build(tmp_path / "program.pt2", database=False)
    assert_within_a_step(compiled, model, x)
    assert [row.name for row in compiled.report] == LAYERS


def test_ranges_that_are_narrower_than_bytes_are_clipped() -> None:
    class Narrow(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ops, given = torch.ops.quantized_decomposed, (0.1, 3, 0, 15, torch.uint8)
            y: torch.Tensor = ops.dequantize_per_tensor(ops.quantize_per_tensor(x, *given), *given)
            return y

    register()
    x = torch.linspace(-3, 3, 64)
    torch.testing.assert_close(ts.build(Narrow(), example_inputs=(x,))(x), Narrow()(x))


def test_modules_that_quantize_while_they_run_are_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize = torch.ao.quantization.quantize_dynamic
        model = quantize(nn.Sequential(nn.Linear(8, 4)))  # type: ignore[no-untyped-call]
    with pytest.raises(ModelError, match="0 quantizes what it reads while it runs"):
        ts.build(model, example_inputs=(torch.rand(2, 8),))


def test_operators_without_known_scales_are_refused() -> None:
    class PerToken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ops = torch.ops.quantized_decomposed
            scale, zero = ops.choose_qparams_per_token_asymmetric(x, torch.int8)
            q = ops.quantize_per_token(x, scale, zero, -128, 127, torch.int8)
            y: torch.Tensor = ops.dequantize_per_token(
                q, scale, zero, -128, 127, torch.int8, torch.float32
            )
            return y

    register()
    with pytest.raises(ModelError, match="scales must be known before the model runs"):
        ts.build(PerToken(), example_inputs=(torch.rand(2, 8),))
