"""Weights are stored so that no two products leave 16 bits, whatever the inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tvm_sparse import narrow
from tvm_sparse.dot import PLAIN, Dot
from tvm_sparse.rows import RowBlocks, from_matrix
from tvm_sparse.words import pack

NARROW = [Dot(narrow=True), Dot(signed=True, narrow=True)]


def rows(density: float = 0.4) -> RowBlocks:
    """Blocks of four filters; a third of their weights are as large as can be."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-128, 128, (12, 80)).astype(np.int8)
    weight = np.where(rng.random(weight.shape) < 0.3, rng.choice([-128, 127], weight.shape), weight)
    packed: Any = pack(weight.astype(np.int8))
    return from_matrix(packed, rng.random(packed.shape) < density, 4)


def octets(found: RowBlocks) -> np.ndarray:
    return np.ascontiguousarray(found.values)[..., None].view(np.int8).astype(np.int64)


def sums(found: RowBlocks) -> np.ndarray:
    """The weights of each tap of each block, added up byte by byte: shape (12, 20, 4)."""
    total = np.zeros((12, 20, 4), np.int64)
    block = np.repeat(np.arange(found.blocks), np.diff(found.ptr))
    for i in range(found.filters):
        np.add.at(total, (block * found.filters + i, found.taps), octets(found)[:, i])
    return total


@pytest.mark.parametrize("dot", NARROW, ids=str)
def test_two_neighbours_never_leave_16_bits(dot: Dot) -> None:
    found = octets(narrow.taps(rows(), dot)).reshape(-1, 2)
    for a in dot.inputs:
        for b in dot.inputs:
            products = found @ np.array([a, b])
            assert products.min() >= -(2**15)
            assert products.max() < 2**15


@pytest.mark.parametrize("dot", NARROW, ids=str)
def test_the_taps_of_a_word_add_up_to_it(dot: Dot) -> None:
    found = narrow.taps(rows(), dot)
    assert len(found.taps) > len(rows().taps)
    np.testing.assert_array_equal(sums(found), sums(rows()))


def test_a_word_that_fits_is_stored_once() -> None:
    packed: Any = pack(np.full((4, 8), 64, np.int8))
    small = from_matrix(packed, np.ones((4, 2), bool), 4)
    assert all(narrow.taps(small, dot) is small for dot in NARROW)
    assert narrow.taps(rows(), PLAIN).values.shape == rows().values.shape


def test_rows_without_taps_stay_so() -> None:
    empty = from_matrix(np.zeros((8, 4), np.int32), np.zeros((8, 4), bool), 4)
    assert len(narrow.taps(empty, NARROW[0]).taps) == 0
