"""p filters × q consecutive weights are removed together (BSR)."""

from __future__ import annotations

import math
from typing import ClassVar

from tvm_sparse.formats.boxes import Box, BoxFormat
from tvm_sparse.formats.protocol import Block


class BlockSparse(BoxFormat):
    """Boxes of the F × (C · Kh · Kw) matrix, as TVM's and torch's block-sparse rows store it."""

    name: ClassVar[str] = "block"
    blocks: ClassVar[tuple[Block, ...]] = tuple(
        (p, q) for p in (32, 16, 8, 4, 2, 1) for q in (32, 16, 8, 4, 2, 1) if p * q > 1
    )

    def box(self, shape: tuple[int, int, int], block: Block) -> Box:
        """Return p × q × 1 on the flattened view."""
        return block[0], block[1], 1

    def view(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return (F, C · Kh · Kw, 1)."""
        return shape[0], math.prod(shape[1:]), 1


FORMAT = BlockSparse()
