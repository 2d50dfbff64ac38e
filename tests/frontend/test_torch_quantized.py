"""What torch quantized itself, as modules or as an exported program, runs as integers."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import kernels, quantized_modules
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


class Two(nn.Module):
    """Linear layers of both ways to round, which torch quantizes dynamically."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(40, 24), nn.Linear(24, 9, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.second(torch.tanh(self.first(x)))
        return y


def dynamic(model: nn.Module, *kinds: type[nn.Module], **options: object) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize = torch.ao.quantization.quantize_dynamic
        found: nn.Module = quantize(model, set(kinds), **options)  # type: ignore[no-untyped-call]
    return found


def test_modules_that_quantize_while_they_run_are_integers() -> None:
    torch.manual_seed(0)
    x, given = torch.randn(3, 2, 40), Two().eval()
    ts.prune(given, {"first": "block-8x4@0.3"})
    model = dynamic(given, nn.Linear)
    with torch.no_grad():
        expected = model(x)
    compiled = ts.build(model, example_inputs=(x,), database=False)
    wrong = (compiled(x) - expected).abs()
    assert wrong.max() <= expected.abs().max() / 127
    assert wrong.mean() <= 1e-3 * expected.abs().mean()  # but for a few ties, torch's own bytes
    assert [(row.name, row.is_integer) for row in compiled.report] == [
        ("first", True),
        ("second", True),
    ]
    assert compiled.report["first"].is_sparse


def test_modules_of_halves_are_floats() -> None:
    torch.manual_seed(0)
    x, model = torch.randn(3, 40), dynamic(Two().eval(), nn.Linear, dtype=torch.float16)
    with torch.no_grad():
        kernels.assert_close(ts.build(model, example_inputs=(x,), database=False)(x), model(x))


def test_recurrent_modules_that_quantize_while_they_run_are_refused() -> None:
    model = dynamic(nn.Sequential(nn.LSTM(8, 4)), nn.LSTM)
    with pytest.raises(ModelError, match=r"0 is a quantized.dynamic.LSTM.*Linear and LinearReLU"):
        ts.build(model, example_inputs=(torch.rand(2, 1, 8),))


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
    with pytest.raises(ModelError, match="known before the model runs or chosen by choose_qparams"):
        ts.build(PerToken(), example_inputs=(torch.rand(2, 8),))
