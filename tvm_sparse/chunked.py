"""Row blocks for workgroups: the taps of each block, chunk by chunk of input channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tvm_sparse import row_order
from tvm_sparse.formats.protocol import Mask, Weight
from tvm_sparse.layer import Layer
from tvm_sparse.rows import from_matrix
from tvm_sparse.workgroup import Workgroup, fitting

# Filters that may share their taps.
FILTERS = (16, 8, 4, 2, 1)
# What a tap costs besides its products: an index, and inputs to load.
_TAP = 3


@dataclass(frozen=True, kw_only=True)
class Chunked:
    """A weight as blocks of filters that share taps.

    Block ``b`` accumulates ``values[j, i] * input[offset[j]]`` in chunk ``c`` of its input for
    ``ptr[b * chunks + c] <= j < ptr[b * chunks + c + 1]``.

    Parameters
    ----------
    values : array of shape (taps, P)
    offset : int32 array of shape (taps,)
        See `Workgroup.offsets`.
    ptr : int32 array of shape (blocks * chunks + 1,)
        The number of blocks is a multiple of what a workgroup computes side by side.
    order : int32 array of shape (F,), optional
        The filter of each row, if that is another one.
    """

    values: npt.NDArray[np.generic]
    offset: npt.NDArray[np.int32]
    ptr: npt.NDArray[np.int32]
    order: npt.NDArray[np.int32] | None = None

    @property
    def longest(self) -> int:
        """Taps of the longest part of a block."""
        return int(np.diff(self.ptr).max(initial=0))

    def rows(self, layer: Layer, tile: Workgroup) -> int:
        """Return the filters of all blocks, those that only fill up a workgroup included."""
        return (len(self.ptr) - 1) // tile.chunks(layer) * tile.filters

    @property
    def arrays(self) -> tuple[npt.NDArray[np.generic], ...]:
        """The arrays in the order in which kernels take them."""
        found = (self.values, self.offset, self.ptr)
        if self.order is None:
            return found
        return (*found, np.stack([np.argsort(self.order).astype(np.int32), self.order]))


def best(
    layer: Layer, weight: Weight, sizes: tuple[int, ...] = FILTERS
) -> tuple[Workgroup, float] | None:
    """Return the workgroup that is predicted to be fastest, and its cost for one position.

    None if no workgroup fits the layer.

    Parameters
    ----------
    layer : Layer
    weight : array of shape ``layer.weight``
    sizes : tuple of int
        How many filters may share their taps.
    """
    found = []
    for filters, number in zip(sizes, counts(layer, weight, sizes), strict=True):
        tile = fitting(layer, filters)
        if tile is not None:
            found.append((number * (_TAP + filters), tile))
    if not found:
        return None
    cost, tile = min(found, key=lambda pair: pair[0])
    return tile, float(cost)


def pack(layer: Layer, tile: Workgroup, weight: Weight, every: bool = False) -> Chunked:
    """Pack a weight for a workgroup; with `every`, zeros too."""
    matrix = weight.reshape(layer.filters, -1)
    order = None if every else row_order.found(layer, tile, matrix != 0)
    matrix = matrix if order is None else matrix[order]
    rows = from_matrix(matrix, (matrix != 0) | every, tile.filters)
    chunks, wide = tile.chunks(layer), tile.channels * layer.kernel[0] * layer.kernel[1]
    block = np.repeat(np.arange(rows.blocks), np.diff(rows.ptr))
    blocks = -(-rows.blocks // tile.blocks) * tile.blocks
    part = block * chunks + rows.taps // wide  # ascends: a block's taps do
    ptr = np.searchsorted(part, np.arange(blocks * chunks + 1)).astype(np.int32)
    values, taps = rows.values, rows.taps
    if not len(taps):  # TIR has no empty buffers
        values, taps = np.zeros((1, tile.filters), weight.dtype), np.zeros(1, np.int32)
    return Chunked(values=values, offset=tile.offsets(layer)[taps], ptr=ptr, order=order)


def counts(layer: Layer, weight: Weight, sizes: tuple[int, ...] = FILTERS) -> list[int]:
    """Return how many taps all blocks store, for each number of filters that may share them."""
    kept = weight.reshape(layer.filters, -1) != 0
    return [_taps(_ordered(layer, fitting(layer, filters), kept), filters) for filters in sizes]


def _ordered(layer: Layer, tile: Workgroup | None, kept: Mask) -> Mask:
    """Return which weights are stored, in the order in which a workgroup computes filters."""
    order = None if tile is None else row_order.found(layer, tile, kept)
    return kept if order is None else kept[order]


def _taps(kept: npt.NDArray[np.bool_], filters: int) -> int:
    """Count the taps that blocks of some filters store."""
    fill = -len(kept) % filters
    padded = np.pad(kept, ((0, fill), (0, 0)))
    return int(padded.reshape(-1, filters, kept.shape[1]).any(axis=1).sum())
