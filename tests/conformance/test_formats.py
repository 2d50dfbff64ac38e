"""Every format, on every kind of layer: a kernel over packed weights is the dense operator."""

from __future__ import annotations

import numpy as np
import pytest

from support import kernels
from support.formats import blocks, cases, pruned, takes_any_weight
from support.layers import LAYERS
from tvm_sparse import formats
from tvm_sparse.errors import FormatError
from tvm_sparse.formats.protocol import Block, Weight
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target

CASES = cases()


def part(layer: Layer) -> tuple[int, ...]:
    """The weight's shape of one convolution group."""
    return (layer.filters // layer.groups, *layer.weight[1:])


def suited(name: str, block: Block) -> list[str]:
    return [which for which in LAYERS if formats.get(name).suits(part(LAYERS[which]), block)]


# Every format meets every layer; its other blocks meet a window, groups, points and rows.
FEW = ("ragged 3×3", "ragged groups 5×5", "1×1, batch 3", "linear, nested rows")
SUITED = [
    (name, block, which)
    for name, block in CASES
    for which in suited(name, block)
    if block == blocks(name)[0] or which in FEW
]
# Kernels over several filters in order, over single filters, and over filters in another order.
PATHS = ("block", "unstructured", "regrouped")


def check(layer: Layer, weight: Weight, name: str, block: Block, target: Target) -> None:
    x = kernels.inputs(layer)
    choice = kernels.stored_as(layer, weight, name, block, target)
    actual = kernels.run_sparse(choice, weight, x, target)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


@pytest.mark.parametrize(("name", "block", "which"), SUITED)
def test_a_pruned_layer_equals_the_dense_operator(
    name: str, block: Block, which: str, x86: Target
) -> None:
    layer = LAYERS[which]
    check(layer, pruned(kernels.weights(layer), name, block), name, block, x86)


def test_formats_suit_every_layer_but_these() -> None:
    """Patterns need kernels, groups of channels and periods need enough of what they divide."""
    left_out = {
        f"{name}-{'x'.join(map(str, block))}": sorted(set(LAYERS) - set(suited(name, block)))
        for name, block in CASES
        if len(suited(name, block)) < len(LAYERS)
    }
    points = ["1×1 stride 2", "1×1, batch 3", "a single pixel"]
    points += ["linear, many rows", "linear, nested rows", "linear, one row"]
    few = ["7×7 stride 2", "a single pixel", "stride 3, dilation 2"]
    eight = ["ragged 3×3", "ragged groups 5×5", "three groups, dilation 2", "wide rows"]
    assert left_out == {
        "pattern-4x8": points,
        "pattern-3x2": points,
        "nm-2x4": few,
        "nm-4x8": sorted([*few, *eight, "unequal padding, stride 2, batch 2"]),
        "nm-3x5": sorted([*few, "three groups, dilation 2", "wide rows"]),
        "periodic-2x2": few,
        "periodic-4x2": sorted([*few, "ragged groups 5×5", "three groups, dilation 2"]),
        "periodic-1x3": sorted(
            [*few, "ragged groups 5×5", "three groups, dilation 2", "wide rows"]
        ),
    }


@pytest.mark.parametrize("target", ["x86-avx2"], indirect=True)
@pytest.mark.parametrize(
    ("name", "which"),
    [
        (name, which)
        for name in formats.names()
        for which in list(LAYERS)[:4]
        if which == "ragged 3×3" or name in PATHS
    ],
)
def test_other_vector_widths_compute_the_same(name: str, which: str, target: Target) -> None:
    layer, block = LAYERS[which], blocks(name)[0]
    check(layer, pruned(kernels.weights(layer), name, block), name, block, target)


@pytest.mark.parametrize("name", formats.names())
@pytest.mark.parametrize("which", ["ragged 3×3", "linear, many rows"])
def test_all_zero_layers_are_layers_too(name: str, which: str, x86: Target) -> None:
    layer, block = LAYERS[which], blocks(name)[0]
    if formats.get(name).objection(layer.weight, block) is None:
        check(layer, np.zeros(layer.weight, np.float32), name, block, x86)
    else:
        assert name == "pattern"
        assert layer.pointwise


@pytest.mark.parametrize("name", [n for n in formats.names() if takes_any_weight(n)])
@pytest.mark.parametrize("which", ["ragged 3×3", "linear, many rows"])
def test_all_dense_layers_are_layers_too(name: str, which: str, x86: Target) -> None:
    layer = LAYERS[which]
    check(layer, kernels.weights(layer), name, blocks(name)[0], x86)


@pytest.mark.parametrize("name", formats.names())
def test_rows_without_weights_give_zeros(name: str, x86: Target) -> None:
    layer, block = LAYERS["ragged 3×3"], blocks(name)[0]
    weight = pruned(kernels.weights(layer), name, block, 1.0)
    weight[2:9] = 0
    check(layer, weight, name, block, x86)


@pytest.mark.parametrize("name", [n for n in formats.names() if takes_any_weight(n)])
def test_weights_of_another_pattern_can_be_stored_with_explicit_zeros(
    name: str, x86: Target
) -> None:
    layer = LAYERS["ragged 3×3"]
    weight = pruned(kernels.weights(layer), "unstructured", (), 0.2)
    check(layer, weight, name, blocks(name)[0], x86)


@pytest.mark.parametrize("name", [n for n in formats.names() if not takes_any_weight(n)])
def test_weights_that_a_format_cannot_store_are_refused_with_a_way_out(name: str) -> None:
    layer = LAYERS["ragged 3×3"]
    form, block = formats.get(name), blocks(name)[0]
    dense = kernels.weights(layer)
    for weight in (dense, pruned(dense, "unstructured", (), 0.4)):
        assert not form.fits(weight, block)
        for store in (form.pack, form.rows):
            with pytest.raises(FormatError, match=rf"{name}-\d+x\d+.* use .*or prune with this"):
                store(weight, block)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_the_dense_kernel_equals_the_dense_operator(layer: Layer, target: Target) -> None:
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    actual = kernels.run_dense(layer, weight, x, target)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)
