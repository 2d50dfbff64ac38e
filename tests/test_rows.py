from __future__ import annotations

import numpy as np

from tvm_sparse.rows import RowCount, from_matrix, join


def test_a_block_stores_the_taps_that_any_of_its_filters_keeps() -> None:
    weight = np.array([[1, 0, 2, 0], [0, 0, 3, 0], [0, 4, 0, 0]], np.float32)
    rows = from_matrix(weight, weight != 0, 2)
    assert rows.ptr.tolist() == [0, 2, 3]
    assert rows.taps.tolist() == [0, 2, 1]
    assert rows.values.tolist() == [[1, 0], [2, 3], [4, 0]]
    assert rows.order.tolist() == [0, 1, 2, -1]
    assert (rows.blocks, rows.filters, rows.stored, rows.longest) == (2, 2, 6, 2)


def test_empty_rows_have_no_taps() -> None:
    weight = np.zeros((4, 3), np.float32)
    rows = from_matrix(weight, weight != 0, 2)
    assert rows.ptr.tolist() == [0, 0, 0]
    assert rows.longest == 0
    assert not rows.dense(4, 3).any()


def test_nbytes_count_values_and_indices() -> None:
    weight = np.ones((4, 3), np.float32)
    rows = from_matrix(weight, weight != 0, 4)
    assert rows.nbytes == 12 * 4 + 3 * 4 + 2 * 8


def test_joined_groups_have_equally_many_blocks() -> None:
    first = np.ones((3, 2), np.float32)
    second = np.zeros((3, 2), np.float32)
    parts = [
        from_matrix(first, first != 0, 2),
        from_matrix(second, second != 0, 2, np.array([1], np.int32)),
    ]
    rows = join(parts, 3)
    assert rows.blocks == 4
    assert rows.ptr.tolist() == [0, 2, 4, 4, 4]
    assert rows.order.tolist() == [0, 1, 2, -1, 4, -1, -1, -1]


def test_rows_are_in_order_only_if_no_filter_is_moved_or_left_out() -> None:
    weight = np.ones((3, 2), np.float32)
    assert from_matrix(weight, weight != 0, 2).in_order(3)
    for order in ([2, 0, 1], [0, 1], []):
        moved = from_matrix(weight, weight != 0, 2, np.array(order, np.int32))
        assert not moved.in_order(3)


def test_rows_that_fill_up_stand_at_the_end_of_a_group_or_rows_are_not_in_order() -> None:
    weight = np.ones((6, 2), np.float32)
    order = np.array([0, 1, 2, -1, 3, 4, 5, -1], np.int32)
    assert not from_matrix(weight, weight != 0, 4, order).in_order(6)
    halves = [from_matrix(half, half != 0, 4) for half in (weight[:3], weight[3:])]
    rows = join(halves, 3)
    assert rows.order.tolist() == order.tolist()
    assert rows.in_order(6)


def test_rows_that_fill_up_hold_zeros() -> None:
    weight = np.arange(1, 7, dtype=np.float32).reshape(3, 2)
    rows = from_matrix(weight, weight != 0, 2, np.array([2, -1, 0, 1], np.int32))
    assert rows.values.tolist() == [[5, 0], [6, 0], [1, 3], [2, 4]]
    np.testing.assert_array_equal(rows.dense(3, 2), weight)


def test_counts_tell_sizes_and_whether_rows_are_moved() -> None:
    weight = np.array([[1, 0], [0, 2], [3, 4]], np.float32)
    assert from_matrix(weight, weight != 0, 2).count(3) == RowCount(blocks=2, taps=4, filters=2)
    moved = from_matrix(weight, weight != 0, 1, np.array([2, 0], np.int32))
    assert moved.count(3) == RowCount(blocks=2, taps=3, filters=1, reordered=True)
