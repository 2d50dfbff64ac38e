"""Single weights are removed, anywhere (CSR)."""

from __future__ import annotations

from typing import ClassVar

from tvm_sparse.formats.protocol import Block, SparseFormat


class Unstructured(SparseFormat):
    """Boxes of a single weight."""

    name: ClassVar[str] = "unstructured"

    def box(self, shape: tuple[int, int, int], block: Block) -> tuple[int, int, int]:
        """Return 1 × 1 × 1."""
        return 1, 1, 1


FORMAT = Unstructured()
