"""The form in which kernels read sparse weights: blocks of filters that share one list of taps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class RowBlocks:
    """B blocks of P filters; the filters of a block share their taps.

    A *tap* is one weight position of a filter, numbered ``c * Kh * Kw + kh * Kw + kw``. Every
    sparse format can be read this way, so one kernel serves them all: block ``b`` accumulates
    ``values[j, i] * input[taps[j]]`` into its filter ``i`` for ``ptr[b] <= j < ptr[b + 1]``.

    Parameters
    ----------
    ptr : int64 array of shape (B + 1,)
        Where each block's taps begin.
    taps : int32 array of shape (n,)
        Tap numbers, ascending within a block.
    values : array of shape (n, P)
        The weights; zeros where a block stores a tap that not all of its filters keep.
    order : int32 array of shape (B * P,)
        Which filter each row computes; -1 for rows that only fill up a block.
    """

    ptr: npt.NDArray[np.int64]
    taps: npt.NDArray[np.int32]
    values: npt.NDArray[np.floating]
    order: npt.NDArray[np.int32]

    @property
    def filters(self) -> int:
        """P, the number of filters in a block."""
        return int(self.values.shape[1])

    @property
    def blocks(self) -> int:
        """B, the number of blocks."""
        return len(self.ptr) - 1

    @property
    def stored(self) -> int:
        """Stored weights, explicit zeros included."""
        return int(self.values.size)

    @property
    def longest(self) -> int:
        """Taps of the longest block."""
        return int(np.diff(self.ptr).max(initial=0))

    @property
    def nbytes(self) -> int:
        """Bytes of values and indices."""
        return self.values.nbytes + self.taps.nbytes + self.ptr.nbytes

    def in_order(self, filters: int) -> bool:
        """Whether the rows compute filters 0, 1, …, `filters` - 1 in this order."""
        return bool(np.array_equal(self.order[self.order >= 0], np.arange(filters)))

    def dense(self, filters: int, taps: int) -> npt.NDArray[np.floating]:
        """Return the weights as a (filters, taps) matrix."""
        out = np.zeros((filters, taps), self.values.dtype)
        block = np.repeat(np.arange(self.blocks), np.diff(self.ptr))
        for i in range(self.filters):
            row = self.order[block * self.filters + i]
            real = row >= 0
            out[row[real], self.taps[real]] = self.values[real, i]
        return out


def from_matrix(
    weight: npt.NDArray[np.floating],
    keep: npt.NDArray[np.bool_],
    filters: int,
    order: npt.NDArray[np.int32] | None = None,
) -> RowBlocks:
    """Group consecutive filters and store every tap that one of them keeps.

    Parameters
    ----------
    weight : array of shape (F, taps)
    keep : bool array of the same shape
        Which weights must be stored.
    filters : int
        P, the filters of a block; the last block is filled up.
    order : int32 array, optional
        The filters to store, in this order; all of them by default.
    """
    chosen = np.arange(len(weight), dtype=np.int32) if order is None else order
    fill = -len(chosen) % filters
    rows = np.concatenate([chosen, np.full(fill, -1, np.int32)]).astype(np.int32)
    shape = (len(rows) // filters, filters, weight.shape[1])
    padded = np.zeros((len(rows), weight.shape[1]), weight.dtype)
    padded[: len(chosen)] = np.where(keep[chosen], weight[chosen], 0)
    used = np.zeros(padded.shape, bool)
    used[: len(chosen)] = keep[chosen]
    block, taps = np.nonzero(used.reshape(shape).any(axis=1))
    ptr = np.searchsorted(block, np.arange(shape[0] + 1)).astype(np.int64)
    values = np.ascontiguousarray(padded.reshape(shape)[block, :, taps])
    return RowBlocks(ptr=ptr, taps=taps.astype(np.int32), values=values, order=rows)


def join(groups: Sequence[RowBlocks], filters: int) -> RowBlocks:
    """Put the row blocks of convolution groups, each with `filters` filters, one after another.

    Every group gets as many blocks as the longest, so that a row's group can be computed from its
    number; the blocks that fill up a group have no taps.
    """
    if len(groups) == 1:
        return groups[0]
    blocks = max(g.blocks for g in groups)
    ptr, order, start = [np.zeros(1, np.int64)], [], 0
    for number, group in enumerate(groups):
        ends = np.pad(group.ptr[1:], (0, blocks - group.blocks), mode="edge") + start
        ptr.append(ends if group.blocks else np.full(blocks, start))
        rows = np.where(group.order < 0, -1, group.order + number * filters)
        order.append(np.pad(rows, (0, blocks * group.filters - len(rows)), constant_values=-1))
        start = ptr[-1][-1] if blocks else start
    return RowBlocks(
        ptr=np.concatenate(ptr).astype(np.int64),
        taps=np.concatenate([g.taps for g in groups]),
        values=np.concatenate([g.values for g in groups]),
        order=np.concatenate(order).astype(np.int32),
    )
