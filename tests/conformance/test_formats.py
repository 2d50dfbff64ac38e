"""Every format, on every kind of layer: a kernel over packed weights is the dense operator."""

from __future__ import annotations

import numpy as np
import pytest

from support import kernels
from tvm_sparse import formats
from tvm_sparse.formats.protocol import Block, Weight
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target


def conv(weight: tuple[int, ...], size: tuple[int, ...], **window: object) -> Layer:
    return Layer(op="conv2d", weight=weight, input=size, **window)  # type: ignore[arg-type]


LAYERS = {
    "ragged 3×3": conv((10, 7, 3, 3), (1, 9, 11), padding=(1, 1, 1, 1)),
    "unequal padding, stride 2, batch 2": conv(
        (13, 6, 3, 3), (2, 9, 11), padding=(1, 2, 0, 1), stride=(2, 2)
    ),
    "three groups, dilation 2": conv(
        (12, 4, 3, 3), (1, 10, 10), groups=3, padding=(2, 2, 2, 2), dilation=(2, 2)
    ),
    "ragged groups 5×5": conv(
        (10, 5, 5, 5), (1, 17, 13), groups=2, stride=(2, 1), padding=(2, 2, 2, 2)
    ),
    "1×1, batch 3": conv((9, 20, 1, 1), (3, 7, 7)),
    "1×1 stride 2": conv((9, 20, 1, 1), (2, 9, 7), stride=(2, 2)),
    "7×7 stride 2": conv((8, 3, 7, 7), (1, 30, 30), padding=(3, 3, 3, 3), stride=(2, 2)),
    "stride 3, dilation 2": conv((5, 3, 3, 3), (1, 20, 20), stride=(3, 3), dilation=(2, 2)),
    "a single pixel": conv((4, 3, 1, 1), (1, 1, 1)),
    "wide rows": conv((8, 4, 3, 3), (1, 3, 150), padding=(1, 1, 1, 1)),
    "linear, one row": Layer(op="linear", weight=(40, 33), input=(1,)),
    "linear, nested rows": Layer(op="linear", weight=(40, 33), input=(3, 7)),
    "linear, many rows": Layer(op="linear", weight=(64, 48), input=(50,)),
}
BLOCKS: dict[int, tuple[Block, ...]] = {
    0: ((),),
    1: ((2,), (4,), (16,)),
    2: ((4, 2), (8, 4), (3, 5)),
}
CASES = [
    (name, block) for name in formats.names() for block in BLOCKS[len(formats.get(name).blocks[0])]
]


def check(layer: Layer, weight: Weight, name: str, block: Block, target: Target) -> None:
    x = kernels.inputs(layer)
    choice = kernels.stored_as(layer, weight, name, block, target)
    actual = kernels.run_sparse(choice, weight, x, target)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize(("name", "block"), CASES)
def test_a_pruned_layer_equals_the_dense_operator(
    layer: Layer, name: str, block: Block, x86: Target
) -> None:
    weight = kernels.weights(layer)
    weight *= formats.get(name).mask(abs(weight), 0.4, block)
    check(layer, weight, name, block, x86)


@pytest.mark.parametrize("layer", list(LAYERS.values())[:4], ids=list(LAYERS)[:4])
@pytest.mark.parametrize("name", formats.names())
def test_other_vector_widths_compute_the_same(name: str, layer: Layer, target: Target) -> None:
    block = BLOCKS[len(formats.get(name).blocks[0])][0]
    weight = kernels.weights(layer)
    weight *= formats.get(name).mask(abs(weight), 0.4, block)
    check(layer, weight, name, block, target)


@pytest.mark.parametrize("name", formats.names())
@pytest.mark.parametrize("layer", [LAYERS["ragged 3×3"], LAYERS["linear, many rows"]], ids=str)
def test_all_zero_and_all_dense_layers_are_layers_too(name: str, layer: Layer, x86: Target) -> None:
    block = BLOCKS[len(formats.get(name).blocks[0])][0]
    dense = kernels.weights(layer)
    check(layer, dense, name, block, x86)
    check(layer, np.zeros_like(dense), name, block, x86)


@pytest.mark.parametrize("name", formats.names())
def test_rows_without_weights_give_zeros(name: str, x86: Target) -> None:
    layer = LAYERS["ragged 3×3"]
    weight = kernels.weights(layer)
    weight[2:9] = 0
    check(layer, weight, name, BLOCKS[len(formats.get(name).blocks[0])][0], x86)


@pytest.mark.parametrize("name", formats.names())
def test_weights_of_another_pattern_can_be_stored_with_explicit_zeros(
    name: str, x86: Target
) -> None:
    layer = LAYERS["ragged 3×3"]
    weight = kernels.weights(layer)
    weight *= formats.get("unstructured").mask(abs(weight), 0.2)
    check(layer, weight, name, BLOCKS[len(formats.get(name).blocks[0])][0], x86)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_the_dense_kernel_equals_the_dense_operator(layer: Layer, target: Target) -> None:
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    actual = kernels.run_dense(layer, weight, x, target)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        conv((8, 1, 3, 3), (1, 14, 14), groups=8, padding=(1, 1, 1, 1)),
        conv((16, 1, 3, 3), (2, 15, 14), groups=8, padding=(1, 1, 1, 1), stride=(2, 2)),
        conv((5, 1, 5, 5), (1, 33, 40), groups=5, padding=(4, 4, 4, 4), dilation=(2, 2)),
    ],
    ids=["plain", "two filters a channel, stride 2", "5×5, dilation 2"],
)
def test_depthwise_layers_equal_the_dense_operator(layer: Layer, target: Target) -> None:
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    actual = kernels.run_dense(layer, weight, x, target)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)
