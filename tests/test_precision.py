"""Precisions, and what they are predicted to cost."""

from __future__ import annotations

import pytest

from tvm_sparse.layer import Layer
from tvm_sparse.precision import Precision
from tvm_sparse.precision_cost import dense_seconds
from tvm_sparse.targets import Target


@pytest.mark.parametrize("text", ["float32", "bfloat16", "float16", "int8", "int4-128"])
def test_precisions_are_read_as_they_are_written(text: str) -> None:
    assert str(Precision.parse(text)) == text


def seconds(layer: Layer, target: Target) -> list[float | None]:
    return [dense_seconds(layer, Precision.parse(bits), target) for bits in (32, 16, 8, 4)]


def test_layers_that_wait_for_their_weights_gain_with_every_bit(x86: Target) -> None:
    floats, half, _, four = seconds(Layer(op="linear", weight=(4096, 4096), input=(1,)), x86)
    assert floats and half and four and floats > 1.3 * half and half > four


def test_precisions_that_a_layer_cannot_have_cost_nothing_known(x86: Target) -> None:
    layer = Layer(op="conv2d", weight=(12, 3, 3, 3), input=(1, 9, 9), groups=3)
    floats, half, eight, four = seconds(layer, x86)
    assert floats and half and eight is None and four is None
    assert all(seconds(Layer(op="conv2d", weight=(16, 8, 3, 3), input=(1, 9, 9)), x86)[:3])
