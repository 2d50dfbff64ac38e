"""N consecutive filters drop the same input channels, kernels whole (1×N pruning).

Lin et al., "1xN Pattern for Pruning Convolutional Neural Networks", TPAMI 2022.
"""

from __future__ import annotations

from typing import ClassVar

from tvm_sparse.formats.boxes import Box, BoxFormat
from tvm_sparse.formats.protocol import Block


class OneByN(BoxFormat):
    """Boxes of N filters × 1 channel × the whole kernel."""

    name: ClassVar[str] = "one_by_n"
    blocks: ClassVar[tuple[Block, ...]] = ((32,), (16,), (8,), (4,), (2,))

    def box(self, shape: tuple[int, int, int], block: Block) -> Box:
        """Return N × 1 × K."""
        return block[0], 1, shape[2]


FORMAT = OneByN()
