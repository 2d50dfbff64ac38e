"""Integer kernels on a GPU: bit for bit what the numbers say, as on CPUs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import integers, kernels, models, workgroups
from support.layers import LAYERS, conv
from tvm_sparse.integer import Bytes, Integers
from tvm_sparse.layer import Layer

pytestmark = pytest.mark.vulkan

_KINDS = {
    **{which: LAYERS[which] for which in ("ragged 3×3", "three groups, dilation 2")},
    "depthwise 5×5, stride 2": conv(
        (8, 1, 5, 5), (1, 13, 14), groups=8, stride=(2, 2), padding=(2, 2, 2, 2)
    ),
    "groups of five filters": conv((10, 4, 3, 3), (2, 5, 6), groups=2, padding=(1, 1, 1, 1)),
    "linear, nested rows": LAYERS["linear, nested rows"],
}


def check(layer: Layer, given: Integers, device: Any, without: str = "") -> None:
    x = integers.inputs(layer)
    found = workgroups.run_integers(layer, given, x, device, without=without)
    np.testing.assert_array_equal(found, integers.reference(layer, x, given))


@pytest.mark.parametrize("layer", _KINDS.values(), ids=_KINDS)
def test_a_kernel_gives_every_byte(layer: Layer, device: Any) -> None:
    check(layer, integers.numbers(layer), device)


def test_a_device_without_dot_products_gives_the_same_bytes(device: Any) -> None:
    layer = LAYERS["linear, many rows"]
    check(layer, integers.numbers(layer), device, "supports_integer_dot_product")


def test_floats_are_exact_too(device: Any) -> None:
    layer = LAYERS["linear, many rows"]
    check(layer, replace(integers.numbers(layer, 1.0), output=None), device)


def test_a_residual_is_added_before_rounding(device: Any) -> None:
    layer = LAYERS["1×1, batch 3"]
    given = replace(integers.numbers(layer), residual=Bytes(scale=0.03, zero=60), low=0.0)
    x, rng = integers.inputs(layer), np.random.default_rng(3)
    shape = kernels.reference(layer, x, given.weight).shape
    residual = rng.integers(0, 256, shape).astype(np.uint8)
    found = workgroups.run_integers(layer, given, x, device, residual)
    np.testing.assert_array_equal(found, integers.reference(layer, x, given, residual))


def test_the_largest_sums_are_exact(device: Any) -> None:
    layer = LAYERS["linear, many rows"]
    extreme = np.full(layer.weight, -128, np.int8)
    given = replace(integers.numbers(layer), weight=extreme, output=None)
    x = np.full((*layer.input, layer.channels), 255, np.uint8)
    found = workgroups.run_integers(layer, given, x, device)
    np.testing.assert_array_equal(found, integers.reference(layer, x, given))


def test_a_quantized_network_gives_the_bits_of_the_cpu(device: Any) -> None:
    torch.manual_seed(0)
    model = models.settle(
        nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU6(),
            nn.MaxPool2d(3, 2, 1),
            models.Residual(16, nn.ReLU()),
            nn.Flatten(),
            nn.Linear(16 * 16, 10),
        )
    )
    ts.prune(model, {"3.conv": "block_punched-4x4@0.25"})
    x = torch.rand(2, 3, 7, 7)
    mod = ts.quantize(model, [x])
    here, there = (ts.build(mod, target, database=False) for target in ("x86", "vulkan"))
    assert all(row.is_integer for row in there.report)
    assert {row.name: row.stored for row in there.report}["3.conv"].startswith("block_punched")
    np.testing.assert_array_equal(there(x.numpy()), here(x.numpy()))
