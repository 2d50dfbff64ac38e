"""Whole filters (output channels) are removed."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from tvm_sparse.formats.boxes import Box, BoxFormat
from tvm_sparse.formats.protocol import Block, Weight
from tvm_sparse.rows import RowBlocks, RowCount, from_matrix

_FILTERS = 8


class FilterSparse(BoxFormat):
    """Boxes of one whole filter; kernels compute the filters that are left and no other."""

    name: ClassVar[str] = "filter"

    def box(self, shape: tuple[int, int, int], block: Block) -> Box:
        """Return 1 × C × K."""
        return 1, shape[1], shape[2]

    def register_filters(self, shape: tuple[int, ...], block: Block = ()) -> int:
        """Return a register tile's filters: those that are left stand side by side."""
        return _FILTERS

    def rows(self, weight: Weight, block: Block = ()) -> RowBlocks:
        """Return blocks of the remaining filters, moved together."""
        matrix = weight.reshape(len(weight), -1)
        left = np.nonzero((matrix != 0).any(axis=1))[0].astype(np.int32)
        return from_matrix(matrix, np.ones(matrix.shape, bool), _FILTERS, left)

    def count(self, weight: Weight, block: Block = ()) -> RowCount:
        """Return the sizes of `rows`: every tap of the filters that are left."""
        left = int((weight != 0).reshape(len(weight), -1).any(axis=1).sum())
        blocks = -(-left // _FILTERS)
        taps = blocks * (weight.size // len(weight))
        return RowCount(blocks=blocks, taps=taps, filters=_FILTERS, reordered=True)


FORMAT = FilterSparse()
