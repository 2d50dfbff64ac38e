"""Weights as powers of two times small bases (SmartDeal).

The columns of a weight are cut in slices of S neighbouring input channels. Each slice is a tall
matrix, and becomes a product: coefficients that are zero or a power of two, and a basis of S × S::

    W[:, slice] ≈ scale · coefficients @ basis        (F, S) ≈ (F, 1) · (F, S) @ (S, S)

A layer then is ``coefficients @ (basis @ x)``: the bases, one for all filters, are applied to the
input once, and the weight is never put together. The factors are found by turns (Zhao et al.,
"SmartExchange: Trading Higher-cost Memory Storage/Access for Lower-cost Computation", ISCA 2020;
Chen et al., "SmartDeal", TNNLS 2022): round the coefficients, fit the bases to them, fit the
coefficients to the bases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse.nibbles import MOST

Array = npt.NDArray[Any]
SIZE = 4  # channels of a slice, if so many divide the layer's
TURNS = 6  # more of them gain less than a hundredth
_LEAST = 2.0 ** (1 - MOST)  # the smallest power, relative to a filter's scale
_RIDGE = 1e-6  # keeps bases apart from slices that are zero


@dataclass(frozen=True, kw_only=True)
class Deal:
    """A weight of shape (F, C) as coefficients and bases.

    Parameters
    ----------
    coefficients : float32 array of shape (F, C)
        Zeros, and powers of two times a scale of each filter, within a factor of 64.
    basis : float32 array of shape (C / S, S, S)
    """

    coefficients: npt.NDArray[np.float32]
    basis: npt.NDArray[np.float32]

    def dense(self) -> npt.NDArray[np.float32]:
        """Return the weight that they stand for, of shape (F, C)."""
        product = _slices(self.coefficients, self.basis.shape[1]) @ self.basis
        return _joined(product).astype(np.float32)

    def error(self, weight: Array) -> float:
        """Return what of a weight is lost, relative to its norm."""
        norm = float(np.linalg.norm(weight))
        return float(np.linalg.norm(self.dense() - weight)) / norm if norm else 0.0


def decompose(weight: Array, turns: int = TURNS) -> Deal:
    """Return the coefficients and bases of a weight of shape (F, C).

    Slices that are zero for a filter have coefficients that are zero. The best of all turns is
    returned; before the first, bases are the identity.
    """
    size = next(size for size in range(SIZE, 0, -1) if weight.shape[1] % size == 0)
    largest = np.abs(weight).max(axis=1, keepdims=True)
    scale = np.where(largest > 0, largest, 1).astype(np.float64)
    wanted = _slices(weight / scale, size)
    fitted, best, least = wanted, None, np.inf
    for _ in range(turns):
        powers = _powers(fitted)
        basis = _solve(powers, wanted)
        lost = float(((powers @ basis - wanted) ** 2 * scale[None] ** 2).sum())
        if lost < least:
            best, least = (powers, basis), lost
        fitted = wanted @ np.linalg.pinv(basis, rcond=1e-4)
    assert best is not None
    return Deal(
        coefficients=(_joined(best[0]) * scale).astype(np.float32),
        basis=best[1].astype(np.float32),
    )


def _slices(weight: Array, size: int) -> Array:
    """Return (F, C) as (C / size, F, size)."""
    return weight.reshape(len(weight), -1, size).transpose(1, 0, 2)


def _joined(slices: Array) -> Array:
    """Return (C / size, F, size) as (F, C)."""
    return slices.transpose(1, 0, 2).reshape(slices.shape[1], -1)


def _powers(values: Array) -> Array:
    """Return the nearest power of two from 1/64 to 1, with its sign, or zero."""
    size = np.abs(values).clip(_LEAST, 1)
    below = 2.0 ** np.floor(np.log2(size))
    nearest = np.where(size < 1.5 * below, below, 2 * below).clip(_LEAST, 1)
    return np.where(np.abs(values) < _LEAST / 2, 0, np.sign(values) * nearest)


def _solve(powers: Array, wanted: Array) -> Array:
    """Return the bases that bring coefficients nearest to slices, by least squares."""
    turned = powers.transpose(0, 2, 1)
    return np.linalg.solve(turned @ powers + _RIDGE * np.eye(powers.shape[2]), turned @ wanted)
