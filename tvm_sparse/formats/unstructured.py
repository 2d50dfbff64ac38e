"""Single weights are removed, anywhere (CSR)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from tvm_sparse.formats.boxes import Box, BoxFormat
from tvm_sparse.formats.protocol import Block, Weight


class Unstructured(BoxFormat):
    """Boxes of a single weight."""

    name: ClassVar[str] = "unstructured"

    def box(self, shape: tuple[int, int, int], block: Block) -> Box:
        """Return 1 × 1 × 1."""
        return 1, 1, 1

    def fits(self, weight: Weight, block: Block = ()) -> bool:
        """Return True: any weight fits."""
        return True

    def nbytes(self, weight: Weight, block: Block = ()) -> int:
        """Return 4 bytes a non-zero, and 4 for its index."""
        return 8 * int(np.count_nonzero(weight))


FORMAT = Unstructured()
