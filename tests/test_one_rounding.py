"""Scaling by one multiply-add gives what two roundings give, for every sum that may occur."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from tvm_sparse import one_rounding

Array = npt.NDArray[np.int64]


def rounded_twice(sums: Array, factor: np.float32, low: int, high: int) -> Array:
    steps = np.rint(np.clip(sums.astype(np.float32) * factor, low, high))
    return np.asarray(steps, np.int64)


def rounded_once(sums: Array, factor: np.float32, base: int, whole: int) -> Array:
    """Exact in 64 bits; ties to the even number."""
    exact = Fraction(float(factor))
    bits = exact.denominator.bit_length() - 1
    product = (base + sums) * exact.numerator - (whole << bits)
    nearest = (product + (1 << (bits - 1))) >> bits
    tie = product % (1 << bits) == 1 << (bits - 1)
    return np.asarray(nearest - (tie & (nearest % 2 == 1)))


@pytest.mark.parametrize("bounds", [(0, 255), (-128, 127), (-100, 0)], ids=str)
@pytest.mark.parametrize("fine", [3, 7, 11])
def test_every_sum_gives_the_same_step(fine: int, bounds: tuple[int, int]) -> None:
    rng = np.random.default_rng(fine)
    factor = (rng.uniform(0.7, 1.4, 8) * 2.0**-fine).astype(np.float32)
    reach = rng.uniform(1e4, 4e5, 8)
    found = one_rounding.of(factor, reach, *bounds)
    assert found.agrees
    np.testing.assert_allclose(found.factor, factor, rtol=2e-5)
    for f, base, whole, most in zip(found.factor, found.base, found.whole, reach, strict=True):
        sums = np.arange(-int(most) - 1, int(most) + 2)
        once = rounded_once(sums, f, int(base), int(whole))
        np.testing.assert_array_equal(np.clip(once, *bounds), rounded_twice(sums, f, *bounds))
        assert base + sums[0] >= 1 << 23
        assert base + sums[-1] < 1 << 24


def test_factors_stay_as_they_are_where_sums_are_too_many_or_too_fine() -> None:
    factor = np.array([0.01, 0.01, 1e-7], np.float32)
    for reach, given in ((1e5, factor), (5e6, factor[:2])):
        found = one_rounding.of(given, np.full(len(given), reach), 0, 255)
        assert not found.agrees
        np.testing.assert_array_equal(found.factor, given)
