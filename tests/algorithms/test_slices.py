"""Products over slices of channels compute what a product over all channels does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support import bounds, kernels
from tvm_sparse import choose, kernel
from tvm_sparse.choose import Choice
from tvm_sparse.cost import Work
from tvm_sparse.formats.protocol import Block, Weight
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.rows import from_matrix
from tvm_sparse.slices import in_slices
from tvm_sparse.targets import Target
from tvm_sparse.tile import Tile

LAYERS = {
    "ragged positions": Layer(op="conv2d", weight=(16, 20, 1, 1), input=(1, 7, 7)),
    "batch 2, in place": Layer(op="conv2d", weight=(9, 11, 1, 1), input=(2, 8, 8)),
    "groups": Layer(op="conv2d", weight=(12, 9, 1, 1), input=(2, 9, 9), groups=2),
    "3×3": Layer(op="conv2d", weight=(10, 8, 3, 3), input=(1, 9, 13), padding=(1, 1, 1, 1)),
    "3×3, stride 2": Layer(
        op="conv2d", weight=(6, 7, 3, 3), input=(1, 15, 14), padding=(1, 1, 1, 1), stride=(2, 2)
    ),
    "linear": Layer(op="linear", weight=(14, 33), input=(50,)),
}


def unstructured(layer: Layer) -> Weight:
    """A weight with a filter without zeros, one of zeros alone, and some channels that none use."""
    rng = np.random.default_rng(0)
    weight = kernels.weights(layer) * (rng.random(layer.weight) < 0.3)
    weight[0], weight[1] = 1.0, 0.0
    weight[2:, 3:6] = 0.0
    return weight.astype(np.float32)


def sliced(
    layer: Layer, weight: Weight, channels: int, target: Target, name: str, block: Block
) -> Choice:
    """The choice of a kernel with positions in lanes, so many channels at a time."""
    choice = kernels.stored_as(layer, weight, name, block, target)
    rows = choose.row_blocks(layer, weight, choice.used)
    work = Work(
        blocks=max(rows.blocks, 1),
        taps=len(rows.taps),
        filters=rows.filters,
        reordered=not rows.in_order(layer.filters),
    )
    best = kernel.tiles(layer, work, target)
    assert isinstance(best.tile, Tile)
    tile = replace(best.tile, slice=channels, direct=0)
    return replace(choice, kernel=replace(best, tile=tile))


@pytest.mark.parametrize("lowering", [code_generation.NAME, bounds.NAME])
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("which", LAYERS)
def test_products_in_slices_equal_the_dense_operator(
    which: str, channels: int, lowering: str, x86: Target
) -> None:
    layer = LAYERS[which]
    weight, x = unstructured(layer), kernels.inputs(layer)
    choice = sliced(layer, weight, channels, x86, "unstructured", ())
    actual = kernels.run_sparse(choice, weight, x, x86, lowering)
    kernels.assert_close(actual, kernels.reference(layer, x, weight))


@pytest.mark.parametrize(
    ("name", "block"), [("filter", ()), ("nm", (2, 4)), ("block", (4, 1))], ids=str
)
def test_other_row_blocks_can_be_sliced_too(name: str, block: Block, x86: Target) -> None:
    layer = Layer(op="conv2d", weight=(16, 24, 1, 1), input=(1, 7, 7))
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    weight[3] = 0.0
    weight[:, ::2] = 0.0
    choice = sliced(layer, weight, 5, x86, name, block)
    actual = kernels.run_sparse(choice, weight, x, x86)
    kernels.assert_close(actual, kernels.reference(layer, x, weight))


@pytest.mark.parametrize("density", [0.0, 1.0], ids=["only zeros", "no zeros"])
def test_a_weight_may_be_empty_or_full(density: float, x86: Target) -> None:
    layer = LAYERS["ragged positions"]
    weight, x = kernels.weights(layer) * np.float32(density), kernels.inputs(layer)
    choice = sliced(layer, weight, 6, x86, "unstructured", ())
    actual = kernels.run_sparse(choice, weight, x, x86)
    kernels.assert_close(actual, kernels.reference(layer, x, weight))


def test_slices_hold_every_tap_once_and_in_order() -> None:
    layer = LAYERS["3×3"]
    weight = unstructured(layer).reshape(layer.filters, layer.taps)
    rows = from_matrix(weight, weight != 0, 1)
    parts = in_slices(rows, layer, 3)
    assert (parts.slices, parts.blocks) == (3, rows.blocks)
    np.testing.assert_array_equal(parts.dense(layer.filters, layer.taps), weight)
    number = np.repeat(np.arange(3), np.diff(parts.ptr[:: rows.blocks]))
    np.testing.assert_array_equal(parts.taps // 9 // 3, number)


def test_one_slice_leaves_the_rows_as_they_are() -> None:
    layer = LAYERS["linear"]
    weight = unstructured(layer)
    rows = from_matrix(weight, weight != 0, 1)
    assert in_slices(rows, layer, 0) is rows
    assert in_slices(rows, layer, 33) is rows


def test_many_channels_are_sliced_so_that_a_slice_stays_in_cache(x86: Target) -> None:
    layer = Layer(op="conv2d", weight=(128, 512, 1, 1), input=(1, 28, 28))
    work = Work(blocks=128, taps=128 * 100, filters=1)
    best = kernel.tiles(layer, work, x86)
    assert isinstance(best.tile, Tile)
    assert isinstance(best.plane, Plane)
    inputs = best.tile.slice * best.plane.touched(best.tile.vectors * best.tile.lanes) * 4
    assert 0.25 * x86.l1 < inputs < x86.l1


def test_few_channels_and_blocks_of_filters_are_not_sliced(x86: Target) -> None:
    few = Layer(op="conv2d", weight=(64, 16, 1, 1), input=(1, 28, 28))
    many = Layer(op="conv2d", weight=(128, 512, 1, 1), input=(1, 28, 28))
    lists = kernel.tiles(few, Work(blocks=64, taps=64 * 4, filters=1), x86)
    blocks = kernel.tiles(many, Work(blocks=16, taps=16 * 100, filters=8), x86)
    for tile in (lists.tile, blocks.tile):
        assert isinstance(tile, Tile)
        assert tile.slice == 0


@pytest.mark.parametrize(("filters", "chunk"), [(512, 256), (768, 128), (96, 48)])
def test_chunks_in_slices_are_long_if_threads_share_them_evenly(
    filters: int, chunk: int, x86: Target
) -> None:
    target = replace(x86, cores=2, l1=48 << 10, l2=1 << 20)
    layer = Layer(op="conv2d", weight=(filters, 1024, 1, 1), input=(1, 14, 14))
    work = Work(blocks=filters, taps=filters * 205, filters=1)
    best = kernel.tiles(layer, work, target)
    assert isinstance(best.tile, Tile) and best.plane is not None
    assert best.tile.slice
    assert best.tile.chunk == chunk
    assert 4 * chunk * best.plane.length <= target.l2 / 4  # sums stay in cache
