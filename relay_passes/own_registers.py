"""A statement that is peeled off a loop gets local buffers of its own.

TVM makes a buffer as large as everything that is done with it. Sums that two register tiles share
would span both, and be memory::

    for p in range(2):                             for p in range(2):
        A[p * 80 : p * 80 + 80] += ...                 A[p * 80 : p * 80 + 80] += ...
    A[160 : 208] += ...                    →       B[160 : 208] += ...

A is 80 floats wide after that, B is 48, and both fit registers.
"""

from __future__ import annotations

from typing import Any

from tvm import ir, s_tir, tirx

from tvm_sparse import compat


class Registers:
    """Copies of local buffers, for one part of a function.

    Parameters
    ----------
    name : str
        What is appended to the names of buffers.
    turned : bool
        Whether the last two axes change places.
    """

    def __init__(self, name: str, turned: bool = False) -> None:
        self.name, self.turned = name, turned
        self.copies: dict[Any, Any] = {}

    def use(self, part: Any) -> Any:
        """Return the statement with accesses to local buffers going to their copies."""
        part = compat.rewrite(part, ir.TensorLoad, self._load)
        part = compat.rewrite(part, tirx.BufferStore, self._store)
        return compat.rewrite(part, ir.TensorRegion, self._region)

    def allocate(self, body: Any) -> Any:
        """Return the statement with the copies allocated where their originals are."""

        def extend(block: s_tir.SBlock) -> Any:
            fresh = [self.copies[b] for b in block.alloc_buffers if b in self.copies]
            return compat.with_block(block, alloc_buffers=[*block.alloc_buffers, *fresh])

        return compat.rewrite(body, s_tir.SBlock, extend) if self.copies else body

    def _load(self, node: Any) -> Any:
        copy = self._copy(node.source)
        return node if copy is None else tirx.BufferLoad(copy, self._axes(node.indices))

    def _store(self, node: tirx.BufferStore) -> Any:
        copy = self._copy(node.buffer)
        if copy is None:
            return node
        return tirx.BufferStore(copy, node.value, self._axes(node.indices))

    def _region(self, node: Any) -> Any:
        copy = self._copy(node.source)
        return node if copy is None else tirx.BufferRegion(copy, self._axes(node.region))

    def _copy(self, buffer: Any) -> Any:
        if buffer.scope() != "local" or buffer in self.copies.values():
            return None
        if buffer not in self.copies:
            shape, name = self._axes(buffer.shape), f"{buffer.name}_{self.name}"
            self.copies[buffer] = tirx.decl_buffer(shape, buffer.dtype, name, scope="local")
        return self.copies[buffer]

    def _axes(self, axes: Any) -> list[Any]:
        *outer, row, lane = axes
        return [*outer, lane, row] if self.turned else [*outer, row, lane]
