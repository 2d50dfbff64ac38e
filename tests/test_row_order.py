"""Workgroups compute alike filters side by side, and long rows beside long ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from support.layers import conv
from tvm_sparse import chunked, row_order
from tvm_sparse.layer import Layer
from tvm_sparse.workgroup import fitting

Kept = npt.NDArray[np.bool_]


def shuffled(sets: int, filters: int, taps: int) -> Kept:
    """Sets of filters that keep equal taps, in any order."""
    rng = np.random.default_rng(0)
    kept = np.repeat(rng.random((sets, taps)) < 0.3, filters // sets, axis=0)
    return np.asarray(kept[rng.permutation(filters)])


def found(layer: Layer, filters: int, kept: Kept) -> row_order.Order | None:
    tile = fitting(layer, filters)
    assert tile is not None
    return row_order.found(layer, tile, kept)


def test_filters_that_keep_equal_taps_make_blocks_wherever_they_stand() -> None:
    layer, kept = conv((32, 8, 3, 3), (1, 9, 9)), shuffled(4, 32, 72)
    order = found(layer, 8, kept)
    assert order is not None and sorted(order) == list(range(32))
    weight = kept.reshape(layer.weight).astype(np.float32)
    best = chunked.best(layer, weight)
    assert best is not None and best[0].filters == 8
    packed = chunked.pack(layer, best[0], weight)
    assert packed.values.all()
    assert packed.values.size == kept.sum()


def test_long_rows_stand_beside_long_ones() -> None:
    layer, taps = Layer(op="linear", weight=(64, 100), input=(32,)), np.arange(100)
    lengths = np.random.default_rng(0).permutation(64)
    order = found(layer, 1, taps < lengths[:, None])
    assert order is not None
    assert list(lengths[order]) == list(range(63, -1, -1))


def test_filters_stay_in_their_group() -> None:
    layer = conv((32, 8, 3, 3), (1, 9, 9), groups=2)
    order = found(layer, 4, shuffled(4, 32, 72))
    assert order is not None
    assert [sorted(part) for part in np.split(order, 2)] == [[*range(16)], [*range(16, 32)]]


def test_filters_stay_where_they_are_if_nothing_is_won() -> None:
    layer = conv((32, 8, 3, 3), (1, 9, 9))
    every = np.ones((32, 72), bool)
    assert found(layer, 8, every) is None
    assert found(layer, 8, every & False) is None
    assert chunked.pack(layer, fitting(layer, 8), every * np.float32(1)).order is None  # type: ignore[arg-type]
