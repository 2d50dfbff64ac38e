"""ONNX models that another tool quantized are integer kernels, and answer as ONNX Runtime does."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from torch import nn

import tvm_sparse as ts
from support import models


class Samples(CalibrationDataReader):
    def __init__(self, x: torch.Tensor) -> None:
        self.left: Iterator[dict[str, object]] = iter([{"x": x.numpy()}])

    def get_next(self) -> dict[str, object] | None:
        return next(self.left, None)


def quantized(model: nn.Module, x: torch.Tensor, folder: Path, **options: object) -> Path:
    buffer, path = io.BytesIO(), folder / "quantized.onnx"
    torch.onnx.export(
        model,
        (x,),
        buffer,  # type: ignore[arg-type]
        dynamo=False,
        input_names=["x"],
        opset_version=17,
    )
    given = onnx.load_from_string(buffer.getvalue())
    quantize_static(given, path, Samples(x), quant_format=QuantFormat.QDQ, **options)
    return path


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


@pytest.mark.parametrize(
    ("activations", "per_channel"),
    [(QuantType.QUInt8, True), (QuantType.QInt8, False)],
    ids=["unsigned, a scale a filter", "signed, one scale"],
)
def test_answers_are_those_of_onnx_runtime(
    activations: QuantType, per_channel: bool, tmp_path: Path
) -> None:
    model, x = network()
    path = quantized(
        model,
        x,
        tmp_path,
        per_channel=per_channel,
        activation_type=activations,
        weight_type=QuantType.QInt8,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x.numpy()})[0]
    compiled = ts.build(path)
    step = float(np.abs(expected).max()) / 127
    assert np.abs(compiled(x.numpy()) - expected).max() <= 1.01 * step
    assert all(row.is_integer for row in compiled.report)
    assert [row.name for row in compiled.report] == ["0", "4.conv", "5", "9", "11"]
