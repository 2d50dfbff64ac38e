"""Depthwise convolutions and pooling windows of every shape equal torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from support import kernels
from tvm_sparse import implement, kernel
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target


def window(
    weight: tuple[int, ...],
    size: tuple[int, ...],
    padding: int = 0,
    stride: int = 1,
    dilate: int = 1,
) -> Layer:
    """A depthwise layer; `size` is (batch, channels, height, width)."""
    batch, channels, height, width = size
    return Layer(
        op="conv2d",
        weight=(weight[0], 1, *weight[1:]),
        input=(batch, height, width),
        padding=(padding,) * 4,
        stride=(stride, stride),
        dilation=(dilate, dilate),
        groups=channels,
    )


LAYERS = {
    "rows as wide as a vector holds": window((8, 3, 3), (1, 8, 14, 14), 1),
    "several rows a vector": window((16, 3, 3), (2, 16, 7, 7), 1),
    "several rows a vector, the last ones missing": window((5, 3, 3), (1, 5, 3, 4), 1),
    "ragged rows, batch 2": window((6, 3, 3), (2, 6, 13, 37), 1),
    "more rows than a tile has": window((3, 3, 3), (1, 3, 61, 75), 1),
    "two filters a channel, stride 2": window((16, 3, 3), (2, 8, 15, 14), 1, 2),
    "ragged rows, stride 2": window((4, 3, 3), (1, 4, 35, 43), 1, 2),
    "stride 2 without padding": window((4, 3, 3), (1, 4, 33, 32), 0, 2),
    "several rows a vector, stride 2": window((12, 3, 3), (1, 12, 14, 14), 1, 2),
    "stride 3": window((4, 3, 3), (1, 4, 20, 23), 1, 3),
    "dilation 2": window((5, 3, 3), (1, 5, 21, 30), 2, 1, 2),
    "two filters a channel, dilation 2, batch 2": window((10, 3, 3), (2, 5, 9, 19), 2, 1, 2),
    "5×5": window((7, 5, 5), (1, 7, 14, 28), 2),
    "5×5, stride 2": window((7, 5, 5), (1, 7, 27, 29), 2, 2),
    "5×5, dilation 2": window((5, 5, 5), (1, 5, 33, 40), 4, 1, 2),
    "more taps than registers": window((6, 7, 7), (1, 6, 17, 20), 3),
    "kernel rows longer than registers": window((2, 2, 40), (1, 2, 9, 60)),
    "a row alone": window((6, 1, 3), (2, 6, 1, 50)),
    "a column alone": window((6, 3, 1), (2, 6, 50, 1)),
    "a single pixel": window((4, 3, 3), (1, 4, 1, 1), 1),
}
WINDOWS = {
    "halves": window((5, 2, 2), (2, 5, 13, 22), 0, 2),
    "overlapping": window((6, 3, 3), (1, 6, 29, 31), 1, 2),
    "stride 1": window((6, 3, 3), (1, 6, 7, 9), 1),
    "the whole image": window((9, 7, 7), (2, 9, 7, 7)),
    "a large window": window((3, 40, 36), (1, 3, 40, 40)),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_depthwise_layers_equal_the_dense_operator(layer: Layer, target: Target) -> None:
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    actual = kernels.run_dense(layer, weight, x, target)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


@pytest.mark.parametrize("layer", WINDOWS.values(), ids=WINDOWS)
def test_windows_take_their_largest_value(layer: Layer, target: Target) -> None:
    best, x = kernel.by_channels(layer, target), kernels.inputs(layer)
    actual = kernels.run(layer, implement.max_pool(layer, best), best, x, target)
    expected = functional.max_pool2d(
        torch.from_numpy(x), layer.kernel, layer.stride, layer.padding[:2]
    )
    kernels.assert_close(actual, expected)


@pytest.mark.parametrize("layer", WINDOWS.values(), ids=WINDOWS)
def test_windows_take_their_mean(layer: Layer, target: Target) -> None:
    best, x = kernel.by_channels(layer, target), kernels.inputs(layer)
    share = np.full(layer.output[1:], 1 / layer.taps, np.float32)
    actual = kernels.run(layer, implement.average_pool(layer, best, share), best, x, target)
    expected = functional.avg_pool2d(
        torch.from_numpy(x).double(), layer.kernel, layer.stride, layer.padding[:2]
    )
    kernels.assert_close(actual, expected)


def test_neighbouring_rows_share_what_they_read(x86: Target) -> None:
    layer = window((8, 3, 3), (1, 8, 14, 14), 1)
    best = kernel.by_channels(layer, x86)
    bound = implement.dense(layer, best, kernels.weights(layer))
    lines = [line.split() for line in kernels.assembly(bound.func, x86).splitlines()]
    products = [line for line in lines if line and line[0].startswith("vfmadd")]
    from_memory = [line for line in products if any("(" in operand for operand in line)]
    assert len(products) >= 9 * 7
    assert len(from_memory) < len(products) / 3
