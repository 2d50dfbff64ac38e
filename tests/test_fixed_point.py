"""Scales as multipliers of fixed point."""

from __future__ import annotations

import pytest

from tvm_sparse.fixed_point import FixedPoint
from tvm_sparse.integer import Bytes


@pytest.mark.parametrize("ratios", [(1.0,), (0.37, 2.9), (1e-6, 5.0), (900.0, 0.001)], ids=str)
def test_no_sum_leaves_32_bits(ratios: tuple[float, ...]) -> None:
    inputs = [Bytes(scale=ratio, zero=0) for ratio in ratios]
    given = FixedPoint.of(inputs, Bytes(scale=1.0, zero=0))
    assert given is not None
    assert 255 * sum(given.multipliers) + 2 ** (given.shift - 1) < 2**31
    for multiplier, ratio in zip(given.multipliers, ratios, strict=True):
        assert abs(multiplier / 2**given.shift - ratio) <= 0.5 / 2**given.shift


def test_scales_that_are_too_far_apart_are_refused() -> None:
    assert FixedPoint.of([Bytes(scale=1e9, zero=0)], Bytes(scale=1.0, zero=0)) is None


def test_equal_bytes_are_copied() -> None:
    given = Bytes(scale=0.1, zero=7)
    same, clipped = FixedPoint.of([given], given), FixedPoint.of([given], given, low=0.0)
    assert same is not None
    assert clipped is not None
    assert same.is_copy
    assert not clipped.is_copy
