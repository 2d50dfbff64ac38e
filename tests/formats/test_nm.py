from __future__ import annotations

import numpy as np
import pytest

from tvm_sparse import choose, formats
from tvm_sparse.errors import FormatError
from tvm_sparse.formats.protocol import Block, Weight

NM = formats.get("nm")


def scores(*shape: int) -> Weight:
    return np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32)


def test_the_mask_keeps_the_highest_of_each_group_of_channels() -> None:
    row = np.array([[1, 4, 3, 2, 5, 6, 8, 7]], np.float32)
    assert NM.mask(row, 0.5, (2, 4)).tolist() == [[0, 1, 1, 0, 0, 0, 1, 1]]


def test_groups_lie_along_channels_at_one_kernel_position() -> None:
    keep = NM.mask(scores(6, 8, 3, 3), 0.5, (2, 4))
    assert (keep.reshape(6, 2, 4, 3, 3).sum(axis=2) == 2).all()


def test_a_smaller_last_group_keeps_n_or_all_of_its_weights() -> None:
    weight = scores(3, 7)
    assert NM.limit(weight.shape, (3, 4)) == 6 / 7
    keep = NM.mask(weight, 6 / 7, (3, 4))
    assert keep[:, 4:].all()
    assert (keep[:, :4].sum(axis=1) == 3).all()
    assert NM.mask(scores(3, 5), 3 / 5, (2, 4))[:, 4].all()


def test_below_n_of_m_the_weakest_survivors_go_too() -> None:
    weight = scores(16, 16)
    full, fewer = NM.mask(weight, 0.5, (2, 4)), NM.mask(weight, 0.25, (2, 4))
    assert fewer.sum() == 64
    assert not (fewer & ~full).any()
    assert weight[fewer].min() >= weight[full & ~fewer].max()


def test_a_density_above_n_of_m_is_refused_with_a_pair_that_would_do() -> None:
    with pytest.raises(FormatError, match=r"keeps at most 0\.5 .* use nm-3x4"):
        NM.mask(scores(8, 8), 0.6, (2, 4))


@pytest.mark.parametrize("block", [(5, 4), (2, 17)])
def test_pairs_that_are_none_are_refused(block: Block) -> None:
    with pytest.raises(FormatError, match="N <= M <= 16"):
        NM.pack(scores(8, 32), block)


def test_a_value_has_an_index_of_a_few_bits_and_no_row_pointers() -> None:
    weight = scores(16, 64, 3, 3)
    for block, bits in {(1, 2): 1, (2, 4): 2, (3, 5): 3, (4, 8): 3, (2, 16): 4, (1, 1): 0}.items():
        groups = -(-64 // block[1])
        stored = 16 * groups * 9 * block[0]
        packed = NM.pack(weight * NM.mask(weight, NM.limit(weight.shape, block), block), block)
        assert packed.values.shape == (16, groups, 9, block[0])
        assert packed.index_nbytes == -(-stored * bits // 8)
        assert packed.nbytes == 4 * stored + packed.index_nbytes


def test_two_of_four_take_nine_sixteenths_of_the_dense_bytes() -> None:
    weight = scores(64, 64)
    assert 16 * NM.pack(weight * NM.mask(weight, 0.5, (2, 4)), (2, 4)).nbytes == 8.5 * weight.nbytes


def test_every_filter_has_equally_many_taps_each_in_its_own_group() -> None:
    weight = scores(8, 14, 3, 3)
    weight *= NM.mask(weight, 0.2, (2, 4))
    weight[3] = 0
    rows = NM.rows(weight, (2, 4))
    each = 9 * (2 + 2 + 2 + 2)
    assert np.diff(rows.ptr).tolist() == [each] * 8
    assert rows.filters == 1
    taps = rows.taps.reshape(8, each)
    assert (np.diff(taps, axis=1) > 0).all()  # ascending, and none twice
    for row in taps:
        group, position = row // 9 // 4, row % 9
        number = np.zeros((4, 9), int)
        np.add.at(number, (group, position), 1)
        assert (number == 2).all()


@pytest.mark.parametrize("block", [(2, 4), (1, 4), (3, 8), (1, 16), (8, 16)])
def test_detection_finds_the_tightest_pair(block: Block) -> None:
    weight = scores(64, 64, 3, 3)
    weight *= NM.mask(weight, block[0] / block[1], block)
    assert NM.detect(weight) == block
    found = choose.find(weight)
    assert (found.format, found.block) == ("nm", block)


@pytest.mark.parametrize("density", [0.02, 0.05, 0.2])
def test_scattered_zeros_that_happen_to_fit_are_not_named_so(density: float) -> None:
    weight = scores(128, 64, 3, 3)
    weight *= formats.get("unstructured").mask(
        np.random.default_rng(1).random(weight.shape), density
    )
    assert density > 0.1 or NM.detect(weight) is not None
    assert choose.find(weight).format == "unstructured"
