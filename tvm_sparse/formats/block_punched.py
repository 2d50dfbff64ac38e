"""p filters × q channels share which kernel positions are removed.

Li et al., "YOLObile: Real-Time Object Detection on Mobile Devices via Compression-Compilation
Co-Design", AAAI 2021; Gong et al., "Automatic Mapping of the Best-Suited DNN Pruning Schemes for
Real-Time Mobile Acceleration", TODAES 2022. Unlike those, sizes that the block does not divide are
allowed: boxes at the edge are smaller.
"""

from __future__ import annotations

from typing import ClassVar

from tvm_sparse.formats.boxes import Box, BoxFormat
from tvm_sparse.formats.protocol import Block


class BlockPunched(BoxFormat):
    """Boxes of p filters × q channels × 1 kernel position."""

    name: ClassVar[str] = "block_punched"
    blocks: ClassVar[tuple[Block, ...]] = tuple(
        (p, q) for p in (32, 16, 8, 4, 2, 1) for q in (32, 16, 8, 4, 2, 1) if p * q > 1
    )

    def box(self, shape: tuple[int, int, int], block: Block) -> Box:
        """Return p × q × 1."""
        return block[0], block[1], 1


FORMAT = BlockPunched()
