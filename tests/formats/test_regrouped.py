from __future__ import annotations

import numpy as np
import pytest

from tvm_sparse import choose, formats
from tvm_sparse.formats import clusters
from tvm_sparse.formats.protocol import Mask, Weight

REGROUPED = formats.get("regrouped")


def blocks(sizes: tuple[int, ...], taps: int = 200, density: float = 0.2) -> tuple[Mask, Weight]:
    """Sets of filters with taps of their own, mixed; also the set of each filter."""
    rng = np.random.default_rng(0)
    of = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return np.asarray(rng.random((len(sizes), taps)) < density)[of], of


def test_filters_of_equal_taps_are_one_set_wherever_they_stand() -> None:
    taps, of = blocks((5, 8, 4))
    taps[of == 1] = False
    found = {frozenset(members.tolist()) for members in clusters.equal(taps)}
    assert found == {frozenset(np.nonzero(of == s)[0].tolist()) for s in (0, 2)}


def test_filters_that_share_most_taps_are_one_set() -> None:
    taps, of = blocks((6, 9, 12))
    noisy = taps ^ (np.random.default_rng(1).random(taps.shape) < 0.02)
    found = {frozenset(members.tolist()) for members in clusters.alike(noisy, 4)}
    assert found == {frozenset(np.nonzero(of == s)[0].tolist()) for s in range(3)}


def test_filters_that_share_few_taps_are_in_no_set() -> None:
    assert clusters.alike(np.random.default_rng(0).random((64, 300)) < 0.2, 4) == []


def test_even_sets_hold_the_filters_that_overlap_most() -> None:
    taps, of = blocks((8, 8, 8, 8))
    found = clusters.even(taps, 8)
    assert [len(members) for members in found] == [8] * 4
    assert all(len(set(of[members])) == 1 for members in found)


@pytest.mark.parametrize("filters", [3, 8, 13, 21, 40])
def test_even_sets_divide_all_filters(filters: int) -> None:
    found = clusters.even(np.random.default_rng(0).random((filters, 50)) < 0.3, 8)
    assert sorted(np.concatenate(found).tolist()) == list(range(filters))
    assert all(min(filters, 8) <= len(members) < 16 for members in found)


def test_the_mask_finds_the_blocks_behind_the_scores() -> None:
    taps, _ = blocks((8, 8, 8, 8), taps=180)
    noise = np.random.default_rng(2).random(taps.shape)
    keep = REGROUPED.mask((taps + noise).reshape(32, 20, 3, 3), float(taps.mean()))
    np.testing.assert_array_equal(keep.reshape(taps.shape), taps)


def test_sets_of_less_than_four_filters_do_not_fit() -> None:
    for sizes, fits in (((4, 5), True), ((4, 3), False), ((1,) * 8, False)):
        taps, _ = blocks(sizes)
        assert REGROUPED.fits(taps.astype(np.float32)) == fits


def test_filters_without_weights_belong_to_no_set() -> None:
    taps, of = blocks((4, 1, 6))
    taps[of == 1] = False
    assert REGROUPED.fits(taps.astype(np.float32))
    rows = REGROUPED.rows(taps.astype(np.float32))
    assert np.nonzero(of == 1)[0][0] not in rows.order


def test_a_set_lists_its_taps_once() -> None:
    taps, of = blocks((8, 12, 4))
    weight = np.random.default_rng(1).random(taps.shape).astype(np.float32) * taps
    packed = REGROUPED.pack(weight)
    columns = sum(int(taps[of == s][0].sum()) for s in range(3))
    assert packed.values.size == taps.sum()
    assert packed.index.nbytes == columns  # 200 taps: a byte each
    assert packed.order.nbytes == 24
    assert packed.ptr.nbytes == 2 * 4
    assert packed.index_nbytes == columns + 24 + packed.ptr.nbytes


def test_rows_put_the_filters_of_a_set_together() -> None:
    taps, of = blocks((8, 12, 5))
    weight = np.random.default_rng(1).random(taps.shape).astype(np.float32) * taps
    rows = REGROUPED.rows(weight)
    assert rows.filters == 8
    assert rows.blocks == 1 + 2 + 1
    for block in rows.order.reshape(-1, 8):
        assert len(set(of[block[block >= 0]])) == 1
    assert np.count_nonzero(rows.values) == taps.sum()


def test_zeros_by_chance_leave_the_sets_whole() -> None:
    taps, _ = blocks((8, 16))
    weight = np.random.default_rng(1).random(taps.shape).astype(np.float32) * taps
    weight[tuple(np.argwhere(taps)[[3, 50, 200]].T)] = 0
    rows = REGROUPED.rows(weight)
    assert rows.blocks == 3
    np.testing.assert_array_equal(rows.dense(*weight.shape), weight)


def test_filters_of_no_set_follow_and_keep_their_own_taps() -> None:
    taps, of = blocks((8, 1, 1))
    weight = taps.astype(np.float32)
    rows = REGROUPED.rows(weight)
    assert rows.order[8:].tolist() == [*np.nonzero(of > 0)[0], *[-1] * 6]
    np.testing.assert_array_equal(rows.dense(*weight.shape), weight)


def test_the_sets_are_found_from_the_zeros_alone() -> None:
    scores = np.random.default_rng(0).random((64, 32, 3, 3)).astype(np.float32) + 0.1
    found = choose.find(scores * REGROUPED.mask(scores, 0.2))
    assert (found.format, found.block) == ("regrouped", ())
