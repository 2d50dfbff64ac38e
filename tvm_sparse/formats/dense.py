"""Every weight is stored."""

from __future__ import annotations

from typing import ClassVar

from tvm_sparse.formats.protocol import Block, Mask, SparseFormat, Weight


class Dense(SparseFormat):
    """One box that holds the whole weight."""

    name: ClassVar[str] = "dense"

    def box(self, shape: tuple[int, int, int], block: Block) -> tuple[int, int, int]:
        """Return the whole weight."""
        return shape

    def register_filters(self, box: tuple[int, int, int]) -> int:
        """Return a register tile's filters."""
        return 8

    def fits(self, weight: Weight, block: Block = ()) -> bool:
        """Whether the weight has no zeros."""
        return bool((weight != 0).all())

    def mask(self, scores: Weight, density: float, block: Block = ()) -> Mask:
        """Keep everything, whatever the density."""
        return super().mask(scores, 1.0, block)


FORMAT = Dense()
