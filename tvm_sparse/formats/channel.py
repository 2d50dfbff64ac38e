"""Whole input channels are removed."""

from __future__ import annotations

from typing import ClassVar

from tvm_sparse.formats.protocol import Block, SparseFormat

_FILTERS = 8


class ChannelSparse(SparseFormat):
    """Boxes of one input channel of every filter; kernels never read the removed channels."""

    name: ClassVar[str] = "channel"

    def box(self, shape: tuple[int, int, int], block: Block) -> tuple[int, int, int]:
        """Return F × 1 × K."""
        return shape[0], 1, shape[2]

    def register_filters(self, box: tuple[int, int, int]) -> int:
        """Return a register tile's filters; all filters hold the same taps."""
        return _FILTERS


FORMAT = ChannelSparse()
