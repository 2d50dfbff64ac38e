"""Weights as powers of two times small bases."""

from __future__ import annotations

import numpy as np
import pytest

from tvm_sparse import nibbles, smartdeal
from tvm_sparse.smartdeal import Array


def weight(shape: tuple[int, int], seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(64, 96), (33, 45), (8, 7)])
def test_coefficients_are_powers_of_two_that_kernels_find(shape: tuple[int, int]) -> None:
    deal = smartdeal.decompose(weight(shape))
    found = nibbles.find_powers(deal.coefficients)
    assert found is not None
    np.testing.assert_array_equal(found.dense(), deal.coefficients)
    size = deal.basis.shape[1]
    product = np.zeros(shape)
    for number, basis in enumerate(deal.basis):
        columns = slice(number * size, number * size + size)
        product[:, columns] = deal.coefficients[:, columns].astype(float) @ basis
    np.testing.assert_allclose(deal.dense(), product, rtol=1e-4, atol=1e-6)


def test_fitted_bases_lose_less_than_rounding_alone() -> None:
    given = weight((128, 64))
    largest = np.abs(given).max(axis=1, keepdims=True)
    shares = np.abs(given) / largest
    tried = [2.0**-power for power in range(7)] + [0.0]
    nearest = np.array(tried)[np.argmin([np.abs(shares - value) for value in tried], axis=0)]
    rounded = np.sign(given) * nearest * largest
    alone = np.linalg.norm(rounded - given) / np.linalg.norm(given)
    first, last = (smartdeal.decompose(given, turns).error(given) for turns in (1, 6))
    assert last < first and last < 0.97 * alone


def test_slices_that_a_filter_lacks_stay_zero() -> None:
    given = weight((32, 64))
    given[:16, 8:40] = 0
    given[20] = 0
    deal = smartdeal.decompose(given)
    assert not deal.coefficients[:16, 8:40].any() and not deal.coefficients[20].any()
    assert smartdeal.decompose(np.zeros((4, 8), np.float32)).error(np.zeros((4, 8))) == 0
