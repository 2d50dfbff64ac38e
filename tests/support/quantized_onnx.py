"""ONNX models that ONNX Runtime's tool quantizes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
from torch import nn


class Samples(CalibrationDataReader):
    def __init__(self, x: torch.Tensor) -> None:
        self.left: Iterator[dict[str, object]] = iter([{"x": x.numpy()}])

    def get_next(self) -> dict[str, object] | None:
        return next(self.left, None)


def quantized(model: nn.Module, x: torch.Tensor, folder: Path, **options: object) -> Path:
    """Export a model, and quantize it by one batch; in the format QDQ if nothing else is said."""
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
    quantize_static(given, path, Samples(x), **{"quant_format": QuantFormat.QDQ, **options})
    return path
