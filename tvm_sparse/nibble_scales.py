"""The integers, scales and zero points of weights that were rounded to four bits before.

Tools hand such weights over as floats, or these are what codes of theirs stand for. A group of
neighbouring weights is integers times a scale. The largest weight of a group is one of few
multiples of the scale, which are tried in turn; of the floats next to the scale that this gives,
one is such that the integers stand for the very same floats, unless these were computed with more
or fewer bits. Our codes say the integers -8 to 7, less a zero point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

EXACT = 1e-5  # of a group's largest weight: how near a weight is to the number of its code
_LEAST, _MOST = -8, 7  # the integers of codes
_AROUND = (7, 8, 6, 5, 4, 3, 2, 1)  # steps that a group's largest weight may be, without a zero
_ASIDE = (*range(15, 8, -1), *_AROUND)  # and with one


@dataclass(frozen=True, kw_only=True)
class Found:
    """Groups of weights as ``numbers * scale``.

    Parameters
    ----------
    numbers : int8 array of shape (n, group)
        From -15 to 15, but spanning no more than sixteen in a group, zero among them.
    scale : float32 array of shape (n,)
        Negative where only so the numbers are codes by themselves.
    zero : int8 array of shape (n,)
        Added to the numbers, it makes them codes from -8 to 7; 0 wherever they are.
    """

    numbers: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float32]
    zero: npt.NDArray[np.int8]


def find(groups: Array) -> Found | None:
    """Return what groups of weights, of shape (n, group), stand for; None if a group is no such."""
    numbers, scale = _found(groups, _AROUND, _fits)
    left = scale == 0
    if left.any():
        numbers[left], scale[left] = _found(groups[left], _ASIDE, _spans)
    if (scale == 0).any():
        return None
    turned = (numbers.max(axis=1) == -_LEAST) & (numbers.min(axis=1) >= -_MOST)
    numbers[turned], scale[turned] = -numbers[turned], -scale[turned]
    return Found(numbers=numbers, scale=scale, zero=_zero(numbers))


def _found(
    groups: Array, most: tuple[int, ...], fits: Callable[[Array], Array]
) -> tuple[Array, npt.NDArray[np.float32]]:
    """Return groups of weights as integers, and their scales, which are 0 where there is none.

    Parameters
    ----------
    groups : array of shape (n, group)
    most : tuple of int
        What a group's largest weight may be in steps, the likeliest first.
    fits : callable
        Of the integers (m, group): which of the groups codes can say.
    """
    largest = np.abs(groups).max(axis=1)
    numbers, scale = np.zeros(groups.shape, np.int8), np.zeros(len(groups), np.float32)
    scale[largest == 0] = 1
    for steps in most:
        left = np.flatnonzero(scale == 0)
        if not len(left):
            break
        part = groups[left]
        tried = (largest[left] / steps).astype(np.float32)
        whole = np.rint(part / tried[:, None])
        near = np.abs(whole * tried[:, None] - part) <= EXACT * largest[left, None]
        good = near.all(axis=1) & fits(whole)
        numbers[left[good]] = whole[good]
        scale[left[good]] = _exact(part[good], whole[good], tried[good])
    return numbers, scale


def _exact(groups: Array, numbers: Array, scale: npt.NDArray[np.float32]) -> Array:
    """Return the scales next to these of which integers stand for the very floats, or these."""
    below, above = (np.nextafter(scale, np.float32(end)) for end in (0, np.inf))
    best, known = scale, np.zeros(len(scale), bool)
    ends = (np.nextafter(each, np.float32(end)) for each, end in ((below, 0), (above, np.inf)))
    for tried in (scale, below, above, *ends):
        floats = numbers.astype(np.float32) * tried[:, None]
        same = (floats == groups.astype(np.float32)).all(axis=1) & ~known
        best, known = np.where(same, tried, best), known | same
    return best


def _fits(numbers: Array) -> Array:
    """Whether all integers of a group are codes, or are with the other sign."""
    low, high = numbers.min(axis=1), numbers.max(axis=1)
    fits: Array = ((low >= _LEAST) & (high <= _MOST)) | ((low >= -_MOST) & (high <= -_LEAST))
    return fits


def _spans(numbers: Array) -> Array:
    """Whether the integers of a group, and zero, become codes by a zero point."""
    low, high = np.minimum(numbers.min(axis=1), 0), np.maximum(numbers.max(axis=1), 0)
    spans: Array = high - low <= _MOST - _LEAST
    return spans


def _zero(numbers: Array) -> npt.NDArray[np.int8]:
    """Return the zero point of each group that is nearest to 0."""
    low = _LEAST - np.minimum(numbers.min(axis=1), 0)
    high = _MOST - np.maximum(numbers.max(axis=1), 0)
    zero: npt.NDArray[np.int8] = np.clip(0, low, high).astype(np.int8)
    return zero
