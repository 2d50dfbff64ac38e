"""ONNX models that another tool quantized are integer kernels, and answer as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType
from torch import nn

import tvm_sparse as ts
from support import models
from support.quantized_onnx import quantized
from tvm_sparse.errors import ModelError


def network() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        models.Residual(16, nn.ReLU()),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 24),
        nn.ReLU(),
        nn.Linear(24, 10),
    )
    models.settle(model)
    ts.prune(model, "block_punched-4x4@0.3")
    return model, torch.rand(2, 3, 14, 18)


def assert_like_onnx_runtime(path: Path, x: torch.Tensor, steps: float = 1.01) -> ts.Compiled:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x.numpy()})[0]
    compiled = ts.build(path)
    step = float(np.abs(expected).max()) / 127
    assert np.abs(compiled(x.numpy()) - expected).max() <= steps * step
    return compiled


@pytest.mark.parametrize(
    ("activations", "per_channel", "form"),
    [
        (QuantType.QUInt8, True, QuantFormat.QDQ),
        (QuantType.QInt8, False, QuantFormat.QDQ),
        (QuantType.QUInt8, True, QuantFormat.QOperator),
    ],
    ids=["unsigned, a scale a filter", "signed, one scale", "operators of integers"],
)
def test_answers_are_those_of_onnx_runtime(
    activations: QuantType, per_channel: bool, form: QuantFormat, tmp_path: Path
) -> None:
    model, x = network()
    path = quantized(
        model,
        x,
        tmp_path,
        quant_format=form,
        per_channel=per_channel,
        activation_type=activations,
        weight_type=QuantType.QInt8,
    )
    compiled = assert_like_onnx_runtime(path, x)
    assert all(row.is_integer for row in compiled.report)
    assert [row.name for row in compiled.report] == ["0", "4.conv", "5", "9", "11"]


def test_every_operator_of_integers_is_read(tmp_path: Path) -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 12, 3, padding=1)
            self.last = nn.Linear(20, 5, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.cat([torch.sigmoid(self.left(x)), self.right(x)], 1)
            y = nn.functional.avg_pool2d(nn.functional.leaky_relu(y), 3, 2, 1)
            y = (y * y).mean((2, 3), keepdim=True).flatten(1)
            z: torch.Tensor = self.last(y[None])[0]
            return torch.softmax(z, -1)

    torch.manual_seed(0)
    x = torch.rand(2, 3, 9, 11)
    path = quantized(Mixed().eval(), x, tmp_path, quant_format=QuantFormat.QOperator)
    names = {node.op_type for node in onnx.load(path).graph.node}
    assert {"QLinearConcat", "QLinearAveragePool", "QLinearMatMul", "QLinearMul"} <= names
    assert {"QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax"} <= names
    assert_like_onnx_runtime(path, x)


def test_activations_of_four_bits_are_refused(tmp_path: Path) -> None:
    layer = nn.Conv2d(3, 8, 1, bias=False).eval()
    model = onnx.load(quantized(layer, torch.rand(1, 3, 5, 5), tmp_path))
    found = next(each for each in model.graph.initializer if each.name.endswith("x_zero_point"))
    found.data_type = onnx.TensorProto.UINT4
    with pytest.raises(ModelError, match="has numbers of type UINT4; expected bytes"):
        ts.build(model)


def test_activations_with_a_scale_for_each_channel_are_refused(tmp_path: Path) -> None:
    x = torch.rand(1, 3, 9, 11)
    model = onnx.load(
        quantized(nn.Conv2d(3, 8, 1).eval(), x, tmp_path, quant_format=QuantFormat.QOperator)
    )
    scale = next(each for each in model.graph.initializer if each.name == "x_scale")
    scale.CopyFrom(numpy_helper.from_array(np.ones(3, np.float32), "x_scale"))
    with pytest.raises(ModelError, match="3 scales, one for each channel"):
        ts.build(model)
