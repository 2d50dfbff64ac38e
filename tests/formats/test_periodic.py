from __future__ import annotations

import numpy as np
import pytest

from tvm_sparse import choose, formats
from tvm_sparse.formats.protocol import Block, Weight

PERIODIC = formats.get("periodic")


def scores(*shape: int) -> Weight:
    return np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(16, 12, 3, 3), (11, 9, 5), (17, 13)])
def test_kernels_of_equal_residues_keep_equal_positions(shape: tuple[int, ...]) -> None:
    keep = PERIODIC.mask(scores(*shape), 0.3, (4, 2))
    for f in range(shape[0]):
        for c in range(shape[1]):
            np.testing.assert_array_equal(keep[f, c], keep[f % 4, c % 2])


def test_positions_are_ranked_by_their_mean_score_over_all_repetitions() -> None:
    weight = np.ones((5, 4), np.float32)
    weight[::2, 1::2] = 3  # in 3 of 5 filters
    weight[1, 0] = 5
    assert PERIODIC.mask(weight, 0.25, (2, 2)).astype(int).tolist() == [
        [0, 1, 0, 1],
        [0, 0, 0, 0],
        [0, 1, 0, 1],
        [0, 0, 0, 0],
        [0, 1, 0, 1],
    ]


def test_one_position_stays_however_low_the_density() -> None:
    assert PERIODIC.mask(scores(8, 8, 3, 3), 1e-6, (4, 4)).sum() == 4


def test_no_byte_says_where_the_weights_stand_but_the_patterns() -> None:
    weight = scores(64, 32, 3, 3)
    weight *= PERIODIC.mask(weight, 0.25, (4, 4))
    packed = PERIODIC.pack(weight, (4, 4))
    assert packed.index_nbytes == 0
    assert packed.library.shape == (4, 4, 9)
    assert packed.nbytes == 4 * np.count_nonzero(weight) + 4 * 4 * 9 // 8


def test_filters_of_a_residue_share_their_taps_exactly() -> None:
    weight = scores(18, 8, 3, 3)
    weight *= PERIODIC.mask(weight, 0.3, (4, 2))
    rows = PERIODIC.rows(weight, (4, 2))
    assert rows.filters == 4
    assert rows.order.tolist() == [
        *(0, 4, 8, 12, 16, -1, -1, -1),
        *(1, 5, 9, 13, 17, -1, -1, -1),
        *(2, 6, 10, 14, 3, 7, 11, 15),
    ]
    block = np.repeat(np.arange(rows.blocks), np.diff(rows.ptr))
    assert rows.values[rows.order.reshape(-1, 4)[block] >= 0].all()
    assert np.count_nonzero(rows.values) == np.count_nonzero(weight)


def test_few_filters_of_a_residue_fill_smaller_blocks() -> None:
    filters = {shape: PERIODIC.register_filters((shape, 8), (4, 2)) for shape in (4, 8, 13, 31, 64)}
    assert filters == {4: 1, 8: 2, 13: 2, 31: 4, 64: 8}


@pytest.mark.parametrize("block", [(4, 4), (8, 2), (1, 4), (16, 16)])
def test_detection_finds_the_periods(block: Block) -> None:
    weight = scores(64, 64, 3, 3)
    weight *= PERIODIC.mask(weight, 0.3, block)
    assert PERIODIC.detect(weight) == block
    found = choose.find(weight)
    assert (found.format, found.block) == ("periodic", block)


def test_a_period_must_come_twice() -> None:
    assert PERIODIC.suits((8, 8), (4, 4))
    assert not PERIODIC.suits((7, 8), (4, 4))
    assert not PERIODIC.suits((8, 7), (4, 4))
    weight = scores(8, 64)
    weight *= formats.get("unstructured").mask(np.random.default_rng(1).random((8, 64)), 0.3)
    assert PERIODIC.fits(weight, (8, 64))
    assert PERIODIC.detect(weight) is None


def test_a_single_stray_breaks_the_period() -> None:
    weight = scores(32, 32, 3, 3)
    weight *= PERIODIC.mask(weight, 0.3, (4, 4))
    where = tuple(np.argwhere(weight == 0)[100])
    weight[where] = 1
    assert not PERIODIC.fits(weight, (4, 4))
    assert PERIODIC.detect(weight) is None
