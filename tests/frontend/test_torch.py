from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.prune import ln_structured

import tvm_sparse as ts
from support import kernels, models
from tvm_sparse.errors import ModelError


def check(model: nn.Module, *inputs: torch.Tensor) -> ts.Compiled:
    compiled = ts.build(model, example_inputs=inputs)
    with torch.inference_mode():
        kernels.assert_close(compiled(*inputs), model(*inputs))
    return compiled


def test_a_network_with_every_kind_of_layer_equals_torch() -> None:
    model, x = models.mixed()
    check(model, x)


@pytest.mark.parametrize(
    "activation",
    [
        nn.ReLU(),
        nn.ReLU6(),
        nn.GELU(),
        nn.GELU(approximate="tanh"),
        nn.SiLU(),
        nn.Sigmoid(),
        nn.Hardswish(),
        nn.Tanh(),
        nn.LeakyReLU(),
        nn.ELU(),
    ],
    ids=str,
)
@pytest.mark.parametrize("density", [1.0, 0.2])
def test_bias_residual_and_activation_are_one_kernel(activation: nn.Module, density: float) -> None:
    torch.manual_seed(0)
    model = models.settle(models.Residual(16, activation))
    if density < 1:
        ts.prune(model, {"conv": f"block-8x1@{density}"})
    compiled = check(model, torch.randn(1, 16, 28, 28))
    assert compiled.mod is not None
    functions = [v.name_hint for v in compiled.mod.get_global_vars() if v.name_hint != "main"]
    assert len(functions) == 1
    assert compiled.report["conv"].is_sparse == (density < 1)


def test_rows_of_features_in_two_and_three_dimensions() -> None:
    torch.manual_seed(0)
    for shape in [(40, 24), (2, 20, 24), (1, 24), (2, 3, 4, 24)]:
        model = models.Perceptron(24, 96).eval()
        ts.prune(model, {"up": "block-4x1@0.1", "down": "block-4x1@0.1"})
        check(model, torch.randn(shape))


def test_consecutive_sparse_linear_layers_do_not_transpose_between_them() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(768, 3072), nn.GELU(), nn.Linear(3072, 768)).eval()
    ts.prune(model, {"0": "block-4x1@0.2", "2": "block-4x1@0.2"})
    compiled = check(model, torch.randn(128, 768))
    assert all("positions" in row.kernel for row in compiled.report)
    assert [row.is_sparse for row in compiled.report] == [True, True]
    assert compiled.mod is not None
    assert len(re.findall(r"\btranspose\d*\(", compiled.mod["main"].script())) == 2


def test_layers_keep_their_names() -> None:
    compiled = check(
        nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.Sequential(nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))
        ).eval(),
        torch.randn(1, 3, 8, 8),
    )
    assert [row.name for row in compiled.report] == ["0", "1.1"]


def test_a_layer_that_is_called_twice_has_two_rows() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.fc(torch.relu(self.fc(x)))
            return y

    compiled = check(Twice().eval(), torch.randn(3, 8))
    assert [row.name for row in compiled.report] == ["fc", "fc#2"]


def test_several_inputs_and_outputs_keep_their_order() -> None:
    class Pair(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return a - b, a * b

    a, b = torch.randn(2, 3), torch.randn(2, 3)
    compiled = ts.build(Pair(), example_inputs=(a, b))
    for actual, expected in zip(compiled(a, b), Pair()(a, b), strict=True):
        torch.testing.assert_close(actual, expected)
    assert [info.name for info in compiled.inputs] == ["a", "b"]


def test_numpy_in_gives_numpy_out() -> None:
    model = nn.Linear(4, 3).eval()
    x = np.ones((2, 4), np.float32)
    compiled = ts.build(model, example_inputs=x)
    assert isinstance(compiled(x), np.ndarray)
    assert isinstance(compiled(torch.from_numpy(x)), torch.Tensor)


def test_weights_under_torchs_own_pruning_are_sparse() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1)).eval()
    ln_structured(model[0], "weight", amount=0.75, n=2, dim=0)  # type: ignore[no-untyped-call]
    compiled = check(model, torch.randn(1, 32, 20, 20))
    (row,) = compiled.report
    assert row.name == "0"
    assert row.density == pytest.approx(0.25)
    assert row.found.startswith("filter")


def test_a_saved_exported_program_builds_from_its_file(tmp_path: Path) -> None:
    model, x = nn.Linear(4, 3).eval(), torch.randn(2, 4)
    torch.export.save(torch.export.export(model, (x,)), tmp_path / "model.pt2")
    kernels.assert_close(ts.build(tmp_path / "model.pt2")(x), model(x).detach())


def test_the_model_is_left_in_its_mode() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout()).train()
    ts.build(model, example_inputs=(torch.randn(2, 4),))
    assert model.training


def test_a_module_without_example_inputs_is_refused() -> None:
    with pytest.raises(ModelError, match="example_inputs"):
        ts.build(nn.Linear(4, 3))


def test_operators_that_tvm_does_not_know_are_named() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = torch.special.bessel_j0(x)
            return y

    with pytest.raises(ModelError, match="bessel_j0"):
        ts.build(Odd(), example_inputs=(torch.randn(3),))


def test_dynamic_shapes_are_refused_by_the_name_of_the_input() -> None:
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(
        nn.Linear(4, 3), (torch.randn(5, 4),), dynamic_shapes={"input": {0: batch}}
    )
    with pytest.raises(ModelError, match=r"input 'input' has the dynamic shape"):
        ts.build(program)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_the_name_of_the_layer(value: float) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3)).eval()
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] = value  # type: ignore[operator]
    with pytest.raises(ModelError, match=r"0\.weight holds 1 NaN or infinite value"):
        ts.build(model, example_inputs=(torch.randn(1, 3, 8, 8),))


def test_a_model_that_cannot_be_traced_is_refused() -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelError, match=r"torch\.export cannot trace"):
        ts.build(Branch(), example_inputs=(torch.randn(3),))


@pytest.mark.parametrize("model", [3, "model.txt", "missing.onnx", None])
def test_things_that_are_no_models_are_refused(model: object) -> None:
    with pytest.raises(ModelError):
        ts.build(model)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_floats_are_refused_with_the_way_out(dtype: torch.dtype) -> None:
    model = nn.Linear(4, 3).to(dtype).eval()
    with pytest.raises(ModelError, match=r"it holds torch\.float\d+: .* model\.float\(\)"):
        ts.build(model, example_inputs=(torch.zeros(1, 4, dtype=dtype),))
