"""Equalized layers compute the same, with weights of equal ranges."""

from __future__ import annotations

import numpy as np
import torch
import tvm
from torch import nn

import tvm_sparse as ts
from support import kernels, models, relax
from tvm_sparse.frontend import import_model
from tvm_sparse.relay_passes import expr, pipeline
from tvm_sparse.relay_passes.equalize_layers import EqualizeLayers

torch.manual_seed(0)


def equalized(model: nn.Module, x: torch.Tensor) -> list[np.ndarray]:
    """The weights of the layers after equalization, filters first; outputs stay what they were."""
    mod = tvm.transform.Sequential(pipeline.simplify())(import_model(model.eval(), (x,)))
    changed = relax.apply(EqualizeLayers(), mod)
    with torch.inference_mode():
        kernels.assert_close(relax.run(changed, x.numpy()), model(x).numpy(), 1e-5)
    calls = [c for c in expr.Uses(changed["main"]).values.values() if expr.op_name(c) in LAYERS]
    weights = [call.args[1].value.numpy() for call in calls]
    return [w.T if w.ndim == 2 else w for w in weights]


LAYERS = ("relax.nn.conv2d", "relax.matmul")


def uneven(layer: nn.Conv2d) -> nn.Conv2d:
    """A layer some of whose filters are much larger than others, and one that is empty."""
    with torch.no_grad():
        shape = (-1, *[1] * (layer.weight.ndim - 1))
        layer.weight.mul_(torch.logspace(-2, 2, len(layer.weight)).reshape(shape))
        layer.weight[1] = 0
    return layer


def test_channels_between_layers_get_equal_ranges_and_keep_their_zeros() -> None:
    model = nn.Sequential(
        uneven(nn.Conv2d(3, 8, 3)),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8, padding=1),
        nn.MaxPool2d(2),
        uneven(nn.Conv2d(8, 12, 1)),
        nn.ReLU(),
        nn.Conv2d(12, 8, 3, groups=2),
        nn.Flatten(),
        nn.Linear(72, 5),
    )
    models.settle(model)
    first, depthwise, wide, grouped, last = equalized(model, torch.rand(2, 3, 12, 12))

    def ranges(weight: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.abs(weight).reshape(len(weight), -1).max(axis=1)
        return found

    alive = ranges(first) > 0
    np.testing.assert_allclose(ranges(first)[alive], ranges(depthwise)[alive], rtol=0.02)
    inputs = np.abs(grouped).reshape(2, 4, 6, -1).max(axis=(1, 3)).reshape(-1)
    kept = ranges(wide) > 0
    np.testing.assert_allclose(ranges(wide)[kept], inputs[kept], rtol=0.02)
    pixels = np.abs(last).reshape(5, 8, 9).max(axis=(0, 2))
    np.testing.assert_allclose(ranges(grouped), pixels, rtol=0.02)
    assert not wide[1].any()


def test_layers_with_relu6_or_a_second_reader_between_them_are_left_alone() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.a(x)
            z: torch.Tensor = self.c(nn.functional.relu6(self.b(y) + y))
            return z

    model = Twice()
    for weight, layer in zip(
        equalized(model, torch.rand(1, 3, 5, 5)), (model.a, model.b, model.c), strict=True
    ):
        np.testing.assert_array_equal(weight, layer.weight.detach().numpy())


def test_quantization_loses_less_once_ranges_are_equal() -> None:
    first, last = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 8, 3)
    with torch.no_grad():
        scale = torch.logspace(-2, 2, 16)
        first.weight.mul_(scale.reshape(-1, 1, 1, 1))
        first.bias.mul_(scale)  # type: ignore[union-attr]
        last.weight.div_(scale.reshape(1, -1, 1, 1))
    model, x = nn.Sequential(first, nn.ReLU(), last).eval(), torch.rand(2, 3, 12, 12)

    def error(equalize: bool) -> float:
        compiled = ts.build(ts.quantize(model, [x], equalize=equalize))
        with torch.no_grad():
            return float((compiled(x) - model(x)).abs().max())

    assert error(True) < 0.2 * error(False)
