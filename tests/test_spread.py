"""Neighbouring channels are set apart, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from tvm_sparse.layer import Layer
from tvm_sparse.rows import RowBlocks, from_matrix
from tvm_sparse.slices import in_slices
from tvm_sparse.spread import spread

LINEAR = Layer(op="linear", weight=(8, 64), input=(1, 64, 1, 32))
SQUARE = Layer(op="conv2d", weight=(8, 40, 3, 3), input=(1, 40, 9, 9), padding=(1, 1, 1, 1))


def blocks(layer: Layer, filters: int, channels: int, seed: int = 0) -> RowBlocks:
    """Row blocks of a random weight in blocks of neighbouring channels; one of them empty."""
    rng = np.random.default_rng(seed)
    shape = (layer.filters // filters, layer.taps // channels)
    keep = np.kron(rng.random(shape) < 0.4, np.ones((filters, channels))).astype(bool)
    keep[:filters] = False
    weight = np.where(keep, rng.standard_normal(keep.shape), 0).astype(np.float32)
    return from_matrix(weight, keep, filters)


@pytest.mark.parametrize("layer", [LINEAR, SQUARE], ids=["linear", "3×3"])
@pytest.mark.parametrize(("filters", "channels"), [(4, 4), (2, 8), (4, 1)])
def test_the_weights_are_the_same(layer: Layer, filters: int, channels: int) -> None:
    rows = blocks(layer, filters, channels)
    moved = spread(rows, layer)
    assert np.array_equal(moved.ptr, rows.ptr)
    dense = moved.dense(layer.filters, layer.taps)
    np.testing.assert_array_equal(dense, rows.dense(layer.filters, layer.taps))


def test_channels_of_a_block_are_not_read_one_after_the_other() -> None:
    layer = Layer(op="linear", weight=(8, 512), input=(1, 512, 1, 32))
    rows = blocks(layer, 4, 4)
    assert (np.diff(rows.taps) == 1).mean() > 0.7
    assert not (np.diff(spread(rows, layer).taps) == 1).any()


def test_taps_of_one_channel_stay_together() -> None:
    rows = blocks(SQUARE, 4, 4)
    channel = spread(rows, SQUARE).taps[rows.ptr[1] : rows.ptr[2]] // 9
    assert np.count_nonzero(np.diff(channel)) + 1 == len(np.unique(channel))


def test_slices_of_moved_taps_are_whole() -> None:
    rows = blocks(SQUARE, 4, 4)
    parts = in_slices(spread(rows, SQUARE), SQUARE, 16)
    number = np.repeat(np.arange(3), np.diff(parts.ptr[:: rows.blocks]))
    np.testing.assert_array_equal(parts.taps // 9 // 16, number)


def test_single_filters_keep_their_order() -> None:
    rows = blocks(LINEAR, 1, 4)
    assert spread(rows, LINEAR) is rows
