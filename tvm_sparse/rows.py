"""The form in which kernels read sparse weights: blocks of filters that share one list of taps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class RowCount:
    """The sizes of row blocks.

    Parameters
    ----------
    blocks : int
        B, the number of blocks.
    taps : int
        Taps over all blocks.
    filters : int
        P, the filters of a block.
    reordered : bool
        Whether rows stand in another order than the filters they compute.
    """

    blocks: int
    taps: int
    filters: int
    reordered: bool = False


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
        Tap numbers, each at most once in a block. They ascend within a block, but for formats that
        put the taps of one kernel pattern together, and after `tvm_sparse.spread`.
    values : array of shape (n, P)
        The weights; zeros where a block stores a tap that not all of its filters keep.
    order : int32 array of shape (B * P,)
        Which filter each row computes; -1 for rows that only fill up a block.
    groups : int
        Convolution groups; each has equally many blocks.
    slices : int
        S, the parts in which blocks are stored, see `tvm_sparse.slices`. Above 1, `ptr` has the
        shape (S * B + 1,): the first part of every block, then the second of every block.
    """

    ptr: npt.NDArray[np.int64]
    taps: npt.NDArray[np.int32]
    values: npt.NDArray[np.floating]
    order: npt.NDArray[np.int32]
    groups: int = 1
    slices: int = 1

    @property
    def filters(self) -> int:
        """P, the number of filters in a block."""
        return int(self.values.shape[1])

    @property
    def blocks(self) -> int:
        """B, the number of blocks."""
        return (len(self.ptr) - 1) // self.slices

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Taps of each block, shape (B,)."""
        lengths: npt.NDArray[np.int64] = np.diff(self.ptr).reshape(self.slices, -1).sum(axis=0)
        return lengths

    @property
    def stored(self) -> int:
        """Stored weights, explicit zeros included."""
        return int(self.values.size)

    @property
    def longest(self) -> int:
        """Taps of the longest block, or of its longest part."""
        return int(np.diff(self.ptr).max(initial=0))

    @property
    def nbytes(self) -> int:
        """Bytes of values and indices."""
        return self.values.nbytes + self.taps.nbytes + self.ptr.nbytes

    def count(self, filters: int) -> RowCount:
        """Return the sizes, for the rows of a weight (or one convolution group) with `filters`."""
        return RowCount(
            blocks=self.blocks,
            taps=len(self.taps),
            filters=self.filters,
            reordered=not self.in_order(filters),
        )

    def in_order(self, filters: int) -> bool:
        """Whether row i of each convolution group computes filter i of the group.

        Rows that only fill up may then stand at the end of a group alone.
        """
        each = filters // self.groups
        fill = len(self.order) // self.groups - each
        if fill < 0:
            return False
        expected = np.arange(filters).reshape(self.groups, each)
        filled = np.pad(expected, ((0, 0), (0, fill)), constant_values=-1)
        return bool(np.array_equal(self.order, filled.reshape(-1)))

    def dense(self, filters: int, taps: int) -> npt.NDArray[np.floating]:
        """Return the weights as a (filters, taps) matrix."""
        out = np.zeros((filters, taps), self.values.dtype)
        block = np.repeat(np.arange(len(self.ptr) - 1) % self.blocks, np.diff(self.ptr))
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
        The filters to store, in this order, -1 for rows that only fill up; all filters by default.
    """
    chosen = np.arange(len(weight), dtype=np.int32) if order is None else order
    fill = -len(chosen) % filters
    rows = np.concatenate([chosen, np.full(fill, -1, np.int32)]).astype(np.int32)
    real = rows >= 0
    shape = (len(rows) // filters, filters, weight.shape[1])
    padded = np.zeros((len(rows), weight.shape[1]), weight.dtype)
    padded[real] = np.where(keep[rows[real]], weight[rows[real]], 0)
    used = np.zeros(padded.shape, bool)
    used[real] = keep[rows[real]]
    block, taps = np.nonzero(used.reshape(shape).any(axis=1))
    ptr = np.searchsorted(block, np.arange(shape[0] + 1)).astype(np.int64)
    values = np.ascontiguousarray(padded.reshape(shape)[block, :, taps])
    return RowBlocks(ptr=ptr, taps=taps.astype(np.int32), values=values, order=rows)


def every_filter(rows: RowBlocks, filters: int) -> RowBlocks:
    """End with blocks without taps for those of `filters` filters that the rows leave out."""
    missing = np.setdiff1d(np.arange(filters, dtype=np.int32), rows.order)
    fill = np.full(-len(missing) % rows.filters, -1, np.int32)
    order = np.concatenate([rows.order, missing, fill])
    ptr = np.pad(rows.ptr, (0, len(order) // rows.filters - rows.blocks), mode="edge")
    return replace(rows, order=order, ptr=ptr)


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
        groups=len(groups),
    )
