"""Scale sums to bytes by one multiply-add: factors for which every way to round gives the same.

A sum t becomes the step ``round(float(t) · f)``, where a product that is rounded to a float is
rounded again to an integer. One fused multiply-add does it all, if the sum is counted from a float
b between 2²³ and 2²⁴ whose product with f is a whole number N, but for 2⁻¹⁸ of a step::

    (b + t) · f  +  (1.5 · 2²³ - N)    has the lowest bits of    round(t · f)

It rounds once, and would differ where a product lies so close to the middle between two steps that
the first rounding of the two decides. No more than some 250 sums of a filter lie next to a middle.
They are all tried; if one lies too close, the last bits of f change until none does. Then bytes are
the same with fused instructions and without. Where sums are much finer than steps (below about
2⁻¹¹) there is no such f: the layer keeps its factors, and its products are rounded twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Long = npt.NDArray[np.int64]

_FIRST = 1 << 23  # floats from here to twice of it are the integers
_BITS = 24  # of a float's fraction
_FINEST, _COARSEST = 1e-6, 0.5  # factors that are tried
_CHANGES = [0, *(sign * change for change in range(1, 97) for sign in (1, -1))]
_TERMS = 40  # of a continued fraction, more than its denominators need to leave 2²²


@dataclass(frozen=True, kw_only=True)
class OneRounding:
    """Factors, and where sums are counted from.

    Parameters
    ----------
    factor : float32 array of shape (F,)
        As given, but for last bits.
    base : int64 array of shape (F,)
        b.
    whole : int64 array of shape (F,)
        N.
    agrees : bool
        Whether all filters may be scaled by one multiply-add.
    """

    factor: npt.NDArray[np.float32]
    base: Long
    whole: Long
    agrees: bool


def of(factor: Array, reach: Array, low: int, high: int) -> OneRounding:
    """Return the factors of a layer.

    Parameters
    ----------
    factor : float32 array of shape (F,)
    reach : array of shape (F,)
        What sums are no further away from 0.
    low, high : int
        The steps between which results are clipped.
    """
    furthest = np.ceil(reach).astype(np.int64)
    fraction, exponent = np.frexp(factor.astype(np.float64))
    mantissa = (fraction * (1 << _BITS)).astype(np.int64)
    shift = _BITS - exponent.astype(np.int64)
    base, whole = np.zeros((2, len(factor)), np.int64)
    open_ = np.flatnonzero((factor > _FINEST) & (factor < _COARSEST) & (2 * furthest < _FIRST))
    left = len(factor) - len(open_)
    for change in _CHANGES:
        if left or not len(open_):
            break
        tried, s, most = mantissa[open_] + change, shift[open_], furthest[open_]
        b, n, rest = _bases(tried, s, most)
        good = _agrees(tried, s, rest, most, low, high) & (tried >> (_BITS - 1) == 1)
        done = open_[good]
        mantissa[done], base[done], whole[done] = tried[good], b[good], n[good]
        open_ = open_[~good]
    agrees = not left and not len(open_)
    changed = np.ldexp(mantissa.astype(np.float64), -shift).astype(np.float32)
    return OneRounding(factor=changed if agrees else factor, base=base, whole=whole, agrees=agrees)


def _bases(mantissa: Long, shift: Long, most: Long) -> tuple[Long, Long, Long]:
    """Return b, N, and what b · f exceeds N by, in units of 2 to the power -shift.

    The denominators of the continued fraction of f are what makes its products almost whole. What
    the product exceeds a whole number by is taken off in steps, each less than the last one.
    """
    one = np.left_shift(np.int64(1), shift)
    base, room = _FIRST + most, _FIRST - 1 - 2 * most
    rest = base * mantissa % one
    (above, p), (below, q) = (one, np.zeros_like(one)), (mantissa, np.ones_like(one))
    for _ in range(_TERMS):  # p · f is short of a whole number by `above`, q · f exceeds it
        times = -((rest - above) // np.maximum(below, 1))
        cost = p + times * q
        taken = (below <= rest) & (rest < above) & (below > 0) & (cost <= room)
        rest = np.where(taken, rest + times * below - above, rest)
        base, room = base + taken * cost, room - taken * cost
        above, p = _next(above, p, below, q)
        times = np.where(above > 0, np.minimum(rest // np.maximum(above, 1), room // p), 0)
        base, rest, room = base + times * p, rest - times * above, room - times * p
        below, q = _next(below, q, above, p)
        if (p > room).all():
            break
    return base, (base * mantissa) >> shift, rest


def _next(a: Long, p: Long, b: Long, q: Long) -> tuple[Long, Long]:
    """Return the next remainder and denominator of a continued fraction; the same at its end."""
    times: Long = np.where(b > 0, a // np.maximum(b, 1), 0)
    return a - times * b, np.minimum(p + times * q, np.int64(_FIRST))


def _agrees(mantissa: Long, shift: Long, rest: Long, most: Long, low: int, high: int) -> Array:
    """Return for which filters both ways begin each step at the same sum, shape (filters,)."""
    odd = 2 * np.arange(low, high) + 1
    middle = np.left_shift(odd[None], (shift - 1)[:, None])  # between a step and the next
    m, limit = mantissa[:, None], most[:, None]
    above = middle // m + 1
    factor = np.ldexp(mantissa.astype(np.float64), -shift).astype(np.float32)[:, None]
    step = np.arange(low, high)
    twice_above = np.rint(above.astype(np.float32) * factor) > step
    twice_below = np.rint((above - 1).astype(np.float32) * factor) <= step
    once_below = (above - 1) * m + rest[:, None] < middle
    reached = (above > -limit) & (above - 1 <= limit)
    agrees: Array = ((twice_above & twice_below & once_below) | ~reached).all(axis=1)
    return agrees
