"""Integer kernels, on every kind of layer: bit for bit what the numbers say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import tvm

from support import bounds, integers, kernels
from support.layers import LAYERS, conv
from tvm_sparse import targets, words
from tvm_sparse.implement import max_pool
from tvm_sparse.implement_integer import implement
from tvm_sparse.integer import Bytes, Integers
from tvm_sparse.kernel import by_channels
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target

DEPTHWISE = {
    "depthwise 3×3": conv((12, 1, 3, 3), (2, 9, 11), groups=12, padding=(1, 1, 1, 1)),
    "depthwise 5×5, stride 2": conv(
        (8, 1, 5, 5), (1, 13, 14), groups=8, stride=(2, 2), padding=(2, 2, 2, 2)
    ),
}
SUITED = [which for which, layer in LAYERS.items() if not words.objection(layer)]
WITHOUT_DOT_PRODUCTS = ["x86-avx2", "x86-avx512"]
FEW = ("ragged 3×3", "three groups, dilation 2", "1×1, batch 3", "linear, nested rows")


def check(
    layer: Layer,
    numbers: Integers,
    target: Target,
    block: int | None = None,
    x: integers.Array | None = None,
) -> integers.Array:
    given = integers.inputs(layer) if x is None else x
    actual = integers.run(layer, numbers, given, target, block=block)
    expected = integers.reference(layer, given, numbers)
    np.testing.assert_array_equal(actual, expected)
    return expected


@pytest.mark.parametrize("which", SUITED)
def test_a_sparse_kernel_gives_every_byte(which: str, x86: Target) -> None:
    layer = LAYERS[which]
    bytes_ = check(layer, integers.numbers(layer), x86, block=4)
    assert len(np.unique(bytes_)) > min(bytes_.size, 256) // 4


@pytest.mark.parametrize("layer", DEPTHWISE.values(), ids=DEPTHWISE)
def test_depthwise_layers_take_a_word_for_four_filters(layer: Layer, x86: Target) -> None:
    check(layer, integers.numbers(layer, density=1.0), x86)


@pytest.mark.parametrize("which", FEW)
@pytest.mark.parametrize("block", [8, 16, 0], ids=["8 filters", "16 filters", "dense"])
def test_filters_share_words_in_any_number(which: str, block: int, x86: Target) -> None:
    layer = LAYERS[which]
    check(layer, integers.numbers(layer, block=max(block, 1)), x86, block)


@pytest.mark.parametrize("which", FEW)
def test_floats_are_exact_too(which: str, x86: Target) -> None:
    layer = LAYERS[which]
    check(layer, replace(integers.numbers(layer), output=None), x86)


@pytest.mark.parametrize("which", FEW)
def test_a_residual_is_added_before_rounding(which: str, x86: Target) -> None:
    layer = LAYERS[which]
    numbers = replace(integers.numbers(layer), residual=Bytes(scale=0.03, zero=60), low=0.0)
    x, rng = integers.inputs(layer), np.random.default_rng(3)
    shape = kernels.reference(layer, x, numbers.weight).shape
    residual = rng.integers(0, 256, shape).astype(np.uint8)
    actual = integers.run(layer, numbers, x, x86, residual)
    np.testing.assert_array_equal(actual, integers.reference(layer, x, numbers, residual))


@pytest.mark.parametrize("which", ["ragged 3×3", "linear, nested rows"])
@pytest.mark.parametrize("target", WITHOUT_DOT_PRODUCTS, indirect=True)
def test_cpus_without_dot_products_give_the_same_bytes(which: str, target: Target) -> None:
    layer = LAYERS[which]
    check(layer, integers.numbers(layer), target, block=4)


@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("target", WITHOUT_DOT_PRODUCTS, indirect=True)
def test_products_that_are_added_in_16_bits_do_not_saturate(weight: int, target: Target) -> None:
    layer = LAYERS["linear, many rows"]
    extreme = replace(integers.numbers(layer), weight=np.full(layer.weight, weight, np.int8))
    check(layer, extreme, target, x=np.full((*layer.input, layer.channels), 255, np.uint8))
    assert target.dot.narrow


@pytest.mark.parametrize(
    ("changes", "instruction"),
    [
        ({"mcpu": "x86-64-v4"}, "vpmaddubsw"),
        ({"mcpu": "cascadelake"}, "vpdpbusd"),
        ({"mcpu": "x86-64-v3", "mattr": ["+avxvnni"]}, "vpdpbusd"),
    ],
    ids=lambda value: str(value),
)
def test_a_cpu_multiplies_words_by_its_own_instruction(
    changes: dict[str, object], instruction: str
) -> None:
    wide = changes["mcpu"] != "x86-64-v3"
    profile = targets.load("x86-avx512" if wide else "x86-avx2")
    layer, target = LAYERS["1×1, batch 3"], replace(profile, tvm={**profile.tvm, **changes})
    given = integers.numbers(layer)
    text = kernels.assembly(implement(integers.chosen(layer, given, target, 4), given).func, target)
    assert instruction in text
    assert ("zmm" in text) == wide


@pytest.mark.parametrize("name", ["x86-avx2", "rpi5"])
def test_products_are_rounded_before_anything_is_added_to_them(name: str) -> None:
    layer, target = LAYERS["ragged 3×3"], targets.load(name)
    given = replace(integers.numbers(layer), residual=Bytes(scale=0.03, zero=60))
    choice = replace(integers.chosen(layer, given, target, 4), fma=False)
    text = kernels.assembly(implement(choice, given).func, target)
    assert "mul" in text
    assert "fmla" not in text
    assert "vfmadd" not in text


def test_a_cpu_without_multiply_adds_gives_the_same_bytes() -> None:
    profile = targets.load("x86-avx2")
    target = replace(profile, tvm={**profile.tvm, "mattr": ["-fma"]})
    layer = LAYERS["linear, nested rows"]
    check(layer, integers.numbers(layer), target, block=4)
    assert profile.has_fma
    assert not target.has_fma


@pytest.mark.parametrize("which", FEW)
def test_kernels_stay_inside_their_buffers(which: str, x86: Target) -> None:
    layer = LAYERS[which]
    numbers, x = integers.numbers(layer), integers.inputs(layer)
    actual = integers.run(layer, numbers, x, x86, lowering=bounds.NAME)
    np.testing.assert_array_equal(actual, integers.reference(layer, x, numbers))


@pytest.mark.parametrize("which", ["ragged 3×3", "linear, many rows"])
def test_a_layer_without_weights_gives_its_bias(which: str, x86: Target) -> None:
    layer = LAYERS[which]
    check(layer, integers.numbers(layer, density=0.0), x86, block=4)


def test_filters_without_weights_give_their_bias(x86: Target) -> None:
    layer = LAYERS["ragged 3×3"]
    numbers = integers.numbers(layer, density=1.0)
    numbers.weight[2:9] = 0
    check(layer, numbers, x86, block=4)


@pytest.mark.parametrize("byte", [0, 255])
@pytest.mark.parametrize("weight", [-128, 127])
def test_the_largest_sums_are_exact_and_the_largest_outputs_clipped(
    byte: int, weight: int, x86: Target
) -> None:
    layer = LAYERS["linear, many rows"]
    numbers = integers.numbers(layer)
    extreme = replace(numbers, weight=np.full(layer.weight, weight, np.int8))
    x = np.full((*layer.input, layer.channels), byte, np.uint8)
    bytes_ = check(layer, extreme, x86, x=x)
    assert set(np.unique(bytes_)) <= {0, 255} or byte == 0


def test_relu_and_clipping_bound_the_bytes(x86: Target) -> None:
    layer = LAYERS["ragged 3×3"]
    numbers = replace(integers.numbers(layer), low=0.0, high=2.0)
    bytes_ = check(layer, numbers, x86)
    assert bytes_.min() == 100
    assert bytes_.max() == 150


@pytest.mark.parametrize("size", [(3, 2, 1), (2, 2, 0), (5, 3, 2)], ids=str)
def test_pooled_words_are_the_largest_bytes(size: tuple[int, int, int], x86: Target) -> None:
    kernel, stride, pad = size
    x = np.random.default_rng(0).integers(0, 256, (2, 10, 13, 17)).astype(np.uint8)
    window = conv(
        (3, 1, kernel, kernel),
        (2, 13, 17),
        groups=3,
        stride=(stride, stride),
        padding=(pad, pad, pad, pad),
    )
    pool = max_pool(window, by_channels(window, x86), words=x86.dot)
    given = integers.to_words(conv((1, 10, 1, 1), (2, 13, 17)), x)
    result = tvm.runtime.tensor(np.zeros((2, 3, *window.output[1:]), np.int32))
    kernels.compiled(pool.func, x86)(tvm.runtime.tensor(given), result)
    octets = np.moveaxis(result.numpy()[..., None].view(np.uint8), -1, 2)
    actual = octets.reshape(2, 12, *window.output[1:])[:, :10]
    floats = torch.from_numpy(x.astype(np.float32))
    expected = torch.nn.functional.max_pool2d(floats, kernel, stride, pad)
    np.testing.assert_array_equal(actual, expected.numpy())
