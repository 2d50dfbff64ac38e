"""Depthwise layers that pack several channels before they multiply compute what torch does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from support import bounds, kernels
from tvm_sparse import implement, kernel
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.targets import Target
from tvm_sparse.tile import Tile


def depthwise(channels: int, size: int, edge: int = 3, **window: object) -> Layer:
    return Layer(
        op="conv2d",
        weight=(channels, 1, edge, edge),
        input=(2, size, size),
        groups=channels,
        padding=(edge // 2,) * 4,
        **window,  # type: ignore[arg-type]
    )


def packed(layer: Layer, target: Target) -> int:
    """How many channels are packed before the first is multiplied."""
    tile = kernel.by_channels(layer, target).tile
    assert isinstance(tile, Tile)
    return tile.chunk


def computed(layer: Layer, chunk: int, target: Target, lowering: str) -> Weight:
    best = kernel.by_channels(layer, target)
    assert isinstance(best.tile, Tile)
    best = dataclasses.replace(best, tile=dataclasses.replace(best.tile, chunk=chunk))
    bound = implement.dense(layer, best, kernels.weights(layer))
    return kernels.run(layer, bound, best, kernels.inputs(layer), target, lowering)


@pytest.mark.parametrize(
    ("chunk", "lowering"),
    [(1, code_generation.NAME), (3, code_generation.NAME), (6, code_generation.NAME),
     (6, bounds.NAME)],
)  # fmt: skip
@pytest.mark.parametrize(
    "layer",
    [depthwise(6, 14), depthwise(6, 15, 5, stride=(2, 2)), depthwise(6, 9, dilation=(2, 2))],
    ids=["3×3", "5×5, stride 2", "dilation 2"],
)
def test_channels_packed_together_equal_torch(
    layer: Layer, chunk: int, lowering: str, x86: Target
) -> None:
    expected = kernels.reference(layer, kernels.inputs(layer), kernels.weights(layer))
    kernels.assert_close(computed(layer, chunk, x86, lowering), expected, 1e-5)


@pytest.mark.parametrize("channels", [12, 13, 34])
def test_the_chosen_kernel_equals_torch_for_any_number_of_channels(
    channels: int, target: Target
) -> None:
    layer = depthwise(channels, 11)
    assert channels % packed(layer, target) == 0
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    actual = kernels.run_dense(layer, weight, x, target)
    np.testing.assert_allclose(actual, kernels.reference(layer, x, weight), rtol=1e-4, atol=1e-5)


def test_small_images_share_the_cache_among_several_channels(x86: Target) -> None:
    assert packed(depthwise(16, 14), x86) > 1


def test_a_prime_number_of_channels_beyond_the_most_is_packed_one_by_one(x86: Target) -> None:
    assert packed(depthwise(17, 14), x86) == 1


def test_large_images_leave_room_for_one_channel_only(x86: Target) -> None:
    layer = dataclasses.replace(depthwise(16, 8), input=(1, 8, 3000))
    assert packed(layer, x86) == 1
