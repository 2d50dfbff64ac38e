"""The packing of weights in windows of neighbouring channels."""

from __future__ import annotations

import numpy as np
import pytest

from support import formats
from tvm_sparse import windows
from tvm_sparse.formats.protocol import Block, Weight
from tvm_sparse.tile import WindowTile


def tile(number: int, lanes: int, filters: int, step: int) -> WindowTile:
    return WindowTile(filters=filters, rows=1, lanes=lanes, slots=number, step=step, permute="none")


def pruned(shape: tuple[int, int], block: Block) -> Weight:
    weight = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return formats.pruned(weight, "nm", block, 1.0)


def unpacked(packed: windows.Windows, cuts: WindowTile, shape: tuple[int, int]) -> Weight:
    """The dense weight, read as the kernel reads it."""
    out = np.zeros((len(packed.values) * cuts.filters, shape[1]), np.float32)
    words = packed.words.view(np.uint32)
    own = cuts.slots * cuts.step
    for panel, values in enumerate(packed.values):
        for number, lanes in enumerate(values):
            step, slot = divmod(number, own)
            word = words[panel, step * -(-own // windows.PER_WORD) + slot // windows.PER_WORD]
            lane = word >> (slot % windows.PER_WORD * windows.BITS) & (cuts.lanes - 1)
            start = min(number // cuts.slots * cuts.lanes, shape[1] - cuts.lanes)
            rows = panel * cuts.filters + np.arange(cuts.filters)
            np.add.at(out, (rows, start + lane), lanes)
    assert not out[shape[0] :].any()
    return out[: shape[0]]


@pytest.mark.parametrize(
    ("shape", "block", "lanes"),
    [
        ((32, 64), (2, 4), 16),
        ((5, 37), (1, 4), 16),
        ((17, 23), (3, 5), 8),
        ((9, 8), (8, 8), 8),
        ((40, 50), (1, 16), 16),
    ],
)
def test_the_weight_that_a_kernel_reads_is_the_one_that_was_packed(
    shape: tuple[int, int], block: Block, lanes: int
) -> None:
    weight = pruned(shape, block)
    number = windows.slots(weight != 0, lanes)
    for filters, step in [(lanes, 1), (2 * lanes, 3)]:
        cuts = tile(number, lanes, filters, step)
        np.testing.assert_array_equal(unpacked(windows.pack(weight, cuts), cuts, shape), weight)


def test_a_window_has_as_many_slots_as_the_groups_within_it_allow() -> None:
    assert windows.slots(pruned((64, 64), (2, 4)) != 0, 16) == 8
    assert windows.slots(pruned((64, 64), (1, 16)) != 0, 8) == 1
    assert windows.slots(np.zeros((3, 20), bool), 16) == 1


def test_indices_take_four_bits_a_weight() -> None:
    cuts = tile(4, 16, 16, 2)
    packed = windows.pack(pruned((64, 64), (1, 4)), cuts)
    assert 8 * packed.words.nbytes == packed.values.nbytes
