"""Threads get equal work, whatever the lengths of the lists."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tvm_sparse import shares
from tvm_sparse.tile import PanelTile, Tile

RISING = np.linspace(5, 95, 96).astype(np.int64)  # taps of 96 blocks, from 5 % to 95 % of 100
BY_FILTERS = Tile(filters=4, vectors=3, lanes=16, chunk=48, parallel="filters", threads=2)


def planned(tile: Tile, lengths: shares.Integers, filters: int) -> float:
    """The largest share of taps that a thread gets, as a multiple of the mean."""
    each = np.repeat(lengths, filters // tile.filters).reshape(-1, tile.chunk // tile.filters)
    cuts = tile.cuts or shares.equal(len(each), tile.threads)
    return shares.unevenness(each.sum(axis=1), cuts)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50), st.integers(1, 9))
def test_no_share_exceeds_the_mean_by_more_than_one_list(lengths: list[int], threads: int) -> None:
    work = np.array(lengths, np.int64)
    cuts = shares.cuts(work, threads)
    assert cuts[0] == 0 and cuts[-1] <= len(work) and sorted(cuts) == list(cuts)
    parts = [int(work[a:b].sum()) for a, b in pairwise(cuts)]
    assert sum(parts) == work.sum()
    assert max(parts) <= work.sum() / threads + work.max()


def test_shares_of_very_unequal_rows_are_equal_where_equal_numbers_are_far_from_it() -> None:
    divided = shares.chunks(BY_FILTERS, RISING, 4)
    assert planned(BY_FILTERS, RISING, 4) > 1.4
    assert planned(divided, RISING, 4) < 1.05
    assert divided.chunk >= 16  # no smaller than it takes


def test_eight_threads_share_what_two_do() -> None:
    tile = Tile(filters=1, vectors=3, lanes=16, chunk=12, parallel="filters", threads=8)
    assert planned(tile, RISING, 1) > 1.8
    assert planned(shares.chunks(tile, RISING, 1), RISING, 1) < 1.1


def test_one_very_long_list_has_a_thread_to_itself() -> None:
    lengths = np.array([1, 1, 1, 1, 1, 200, 1, 1], np.int64)
    divided = shares.chunks(replace(BY_FILTERS, chunk=16), lengths, 4)
    assert divided.chunk == 4
    assert divided.cuts == (0, 5, 8)


def test_nearly_equal_rows_are_divided_as_before() -> None:
    lengths = np.random.default_rng(0).binomial(200, 0.2, 96)
    assert shares.chunks(BY_FILTERS, lengths, 4) is BY_FILTERS


def test_a_last_chunk_of_nothing_but_fill_is_never_cut_off() -> None:
    tile = Tile(filters=2, vectors=3, lanes=16, chunk=48, parallel="filters", threads=2)
    assert shares.chunks(tile, RISING, 8).chunk % 8 == 0


def test_threads_that_divide_positions_keep_their_tile() -> None:
    tile = Tile(filters=4, vectors=3, lanes=16, chunk=48)
    assert shares.chunks(tile, RISING, 4) is tile


def test_panels_are_shared_by_work_too() -> None:
    tile = PanelTile(filters=16, rows=1, lanes=16, threads=2)
    found = shares.panels(tile, RISING)
    assert shares.unevenness(RISING, found.cuts) < 1.05
    assert shares.panels(tile, np.full(96, 7)) is tile
