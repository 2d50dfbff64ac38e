"""Linear layers of four-bit codes compute what their codes stand for, on every CPU family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support import bounds, kernels
from tvm_sparse import implement_nibbles, nibble_choice, nibbles
from tvm_sparse.layer import Layer
from tvm_sparse.nibble_choice import NibbleChoice
from tvm_sparse.nibbles import Code, Nibbles
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.targets import Target
from tvm_sparse.tile import NibbleTile

LAYERS = {
    "one row": ((64, 256), (1,)),
    "ragged": ((70, 203), (3,)),
    "fewer channels than a word": ((5, 3), (2,)),
    "nested rows": ((33, 96), (2, 5)),
}


def layer_of(which: str) -> Layer:
    weight, rows = LAYERS[which]
    return Layer(op="linear", weight=weight, input=rows)


def stored(layer: Layer, code: Code, keep: float = 1.0, zeros: bool = False) -> Nibbles:
    """Any codes and scales; blocks of 16 filters share the channels that they keep."""
    rng = np.random.default_rng(0)
    filters, channels = layer.weight
    blocks = rng.random((-(-filters // 16), channels)) < keep
    codes = rng.integers(1, 16, layer.weight) * np.repeat(blocks, 16, axis=0)[:filters]
    group = nibbles.whole(32, channels)
    scale = rng.random((filters, -(-channels // group))).astype(np.float32) + 0.5
    given = Nibbles(codes=codes.astype(np.uint8), scale=scale, group=group, code=code)
    return moved(given, rng) if zeros else given


def moved(given: Nibbles, rng: np.random.Generator) -> Nibbles:
    """The same zeros, but other codes stand for them."""
    zero = rng.integers(-8, 8, given.scale.shape).astype(np.int8)
    by_channel = np.repeat(zero, given.group, axis=1)[:, : given.codes.shape[1]]
    return replace(given, codes=((given.codes + by_channel) & 15).astype(np.uint8), zero=zero)


def check(choice: NibbleChoice, target: Target, lowering: str = code_generation.NAME) -> None:
    layer, x = choice.layer, kernels.inputs(choice.layer)
    bound = implement_nibbles.implement(choice)
    actual = kernels.run(layer, bound, choice.kernel, x, target, lowering)
    kernels.assert_close(actual, kernels.reference(layer, x, choice.stored.dense()), 1e-5)


@pytest.mark.parametrize("which", LAYERS)
def test_every_shape_is_multiplied(which: str, x86: Target) -> None:
    layer = layer_of(which)
    check(nibble_choice.choose(layer, stored(layer, "int4"), x86), x86)


@pytest.mark.parametrize("code", ["int4", "power_of_two"])
def test_every_code_is_multiplied(code: Code, target: Target) -> None:
    layer = layer_of("ragged")
    choice = nibble_choice.choose(layer, stored(layer, code), target)
    tile = choice.kernel.tile
    assert not choice.is_sparse and isinstance(tile, NibbleTile)
    assert bool(tile.permute) == (target.lanes == 16)
    check(choice, target)


@pytest.mark.parametrize("which", ["ragged", "nested rows"])
def test_channels_that_no_filter_of_a_panel_keeps_are_skipped(which: str, target: Target) -> None:
    layer = layer_of(which)
    choice = nibble_choice.choose(layer, stored(layer, "int4", keep=0.1), target)
    assert choice.is_sparse and choice.used.bits == 4
    check(choice, target)


@pytest.mark.parametrize("keep", [1.0, 0.1], ids=["dense", "sparse"])
def test_zero_points_are_taken_away(keep: float, x86: Target) -> None:
    layer = layer_of("ragged")
    given = stored(layer, "int4", keep, zeros=True)
    np.testing.assert_array_equal(given.kept, stored(layer, "int4", keep).kept)
    choice = nibble_choice.choose(layer, given, x86)
    assert choice.is_sparse == (keep < 1)
    check(choice, x86, bounds.NAME)


def test_panels_without_weights_give_zeros(x86: Target) -> None:
    layer = layer_of("ragged")
    some = stored(layer, "int4", keep=0.2)
    some.codes[16:32] = 0
    none = replace(some, codes=np.zeros_like(some.codes))
    check(nibble_choice.choose(layer, none, x86), x86)


@pytest.mark.parametrize("keep", [1.0, 0.2])
def test_no_kernel_of_codes_leaves_its_buffers(keep: float, x86: Target) -> None:
    layer = layer_of("ragged")
    check(nibble_choice.choose(layer, stored(layer, "int4", keep), x86), x86, bounds.NAME)


def test_zeros_may_be_left_in_for_comparison(x86: Target) -> None:
    layer = layer_of("one row")
    some = stored(layer, "int4", keep=0.1)
    assert not nibble_choice.choose(layer, some, x86, sparse=False).is_sparse
