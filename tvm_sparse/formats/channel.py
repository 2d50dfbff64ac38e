"""Whole input channels are removed."""

from __future__ import annotations

from typing import ClassVar

from tvm_sparse.formats.boxes import Box, BoxFormat
from tvm_sparse.formats.protocol import Block

_FILTERS = 8


class ChannelSparse(BoxFormat):
    """Boxes of one input channel of every filter; kernels never read the removed channels."""

    name: ClassVar[str] = "channel"

    def box(self, shape: tuple[int, int, int], block: Block) -> Box:
        """Return F × 1 × K."""
        return shape[0], 1, shape[2]

    def register_filters(self, shape: tuple[int, ...], block: Block = ()) -> int:
        """Return a register tile's filters; all filters hold the same taps."""
        return _FILTERS


FORMAT = ChannelSparse()
