"""Every weight is stored."""

from __future__ import annotations

from typing import ClassVar

from tvm_sparse.formats.boxes import Box, BoxFormat
from tvm_sparse.formats.protocol import Block, Mask, Weight


class Dense(BoxFormat):
    """One box that holds the whole weight."""

    name: ClassVar[str] = "dense"

    def box(self, shape: tuple[int, int, int], block: Block) -> Box:
        """Return the whole weight."""
        return shape

    def register_filters(self, shape: tuple[int, ...], block: Block = ()) -> int:
        """Return a register tile's filters."""
        return 8

    def fits(self, weight: Weight, block: Block = ()) -> bool:
        """Whether the weight has no zeros."""
        return bool((weight != 0).all())

    def mask(self, scores: Weight, density: float, block: Block = ()) -> Mask:
        """Keep everything, whatever the density."""
        return super().mask(scores, 1.0, block)


FORMAT = Dense()
