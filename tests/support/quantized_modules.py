"""Networks of torch's quantized modules, made by torch itself."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.ao import quantization
from torch.ao.nn.quantized import FloatFunctional


class Residual(nn.Module):
    """As `support.models.Residual` after folding batch norm; torch wants sums as modules."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.sum = FloatFunctional()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.sum.add_relu(self.conv(x), x)
        return y


class Joined(nn.Module):
    """Two layers beside each other, with one ReLU for both."""

    def __init__(self, channels: int, left: int, right: int) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(channels, left, 1), nn.Conv2d(channels, right, 1)
        self.relu, self.join = nn.ReLU(), FloatFunctional()

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.relu(self.left(x)), self.relu(self.right(x))]
        y: Tensor = self.join.cat(parts, 1)
        return y


def quantized(model: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """Quantize a model of floats: it reads and gives floats, with bytes in between."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = quantization.QuantWrapper(model.eval())
        wrapped.qconfig = quantization.get_default_qconfig("x86")  # type: ignore[no-untyped-call]
        prepared = quantization.prepare(wrapped)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for x in batches:
                prepared(x)
        found: nn.Module = quantization.convert(prepared)  # type: ignore[no-untyped-call]
    return found
