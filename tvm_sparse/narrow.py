"""Weights whose products are added in 16 bits, two by two, without ever overflowing.

``vpmaddubsw`` multiplies four inputs, bytes 0 to 255, by four weights and saturates the sums of
neighbours: ``255 · 100 + 255 · 100`` is not what it returns. Which inputs come is not known, but
weights are: where two neighbours may reach too far, their word is stored as two taps that read the
same input, and whose weights add up to the word's::

    tap 7: (100, 100, -3, 5)    →    tap 7: (50, 50, -1, 3)    tap 7: (50, 50, -2, 2)

Few weights are so large: of those that are normally distributed, with the largest of 10 000 at
127, one word of a hundred. With signed inputs it takes two neighbours of -128.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse.dot import Dot
from tvm_sparse.rows import RowBlocks

_LOWEST, _HIGHEST = -(1 << 15), (1 << 15) - 1


def taps(rows: RowBlocks, dot: Dot) -> RowBlocks:
    """Return the rows with two taps for every one whose products do not fit.

    Parameters
    ----------
    rows : RowBlocks
        Weights in words, int32.
    dot : Dot
        Rows are returned as they are if it is not narrow.
    """
    wide = _reaching(_bytes(rows.values), dot) if dot.narrow else np.zeros(0, bool)
    if not wide.any():
        return rows
    first = np.repeat(np.arange(len(wide)), 1 + wide)
    second = np.pad(first[1:] == first[:-1], (1, 0))
    halves = _bytes(rows.values) >> 1
    values = np.where(wide[:, None, None], halves, _bytes(rows.values))[first]
    values[second] = (_bytes(rows.values) - halves)[first[second]]
    before = np.concatenate([[0], np.cumsum(wide)])
    return replace(
        rows,
        ptr=rows.ptr + before[rows.ptr],
        taps=rows.taps[first],
        values=np.ascontiguousarray(values).view("<i4")[..., 0],
    )


def _bytes(words: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Return words (taps, P) as signed bytes (taps, P, 4)."""
    octets: npt.NDArray[np.int8] = np.ascontiguousarray(words)[..., None].view(np.int8)
    return octets


def _reaching(weights: npt.NDArray[np.int8], dot: Dot) -> npt.NDArray[np.bool_]:
    """Return which taps have neighbours whose products may leave 16 bits, shape (taps,)."""
    ends = np.multiply.outer(weights.astype(np.int64), dot.inputs)
    pairs = ends.reshape(*weights.shape[:-1], 2, 2, 2)
    low, high = pairs.min(axis=-1).sum(axis=-1), pairs.max(axis=-1).sum(axis=-1)
    out: npt.NDArray[np.bool_] = ((low < _LOWEST) | (high > _HIGHEST)).any(axis=(1, 2))
    return out
