"""The space of linear kernels whose weights are codes of four bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from tvm_sparse import nibble_choice
from tvm_sparse.kernel import Kernel
from tvm_sparse.tile import NibbleTile
from tvm_sparse.tuning.panels import DIVIDED
from tvm_sparse.tuning.space import Listed, Point

VECTORS = (1, 2, 3, 4, 6, 8)  # of a panel's filters


@dataclass(frozen=True, kw_only=True)
class NibbleSpace(Listed):
    """Rows and filters of the register tile, and what threads divide.

    Parameters
    ----------
    layer, used, work, target
        See `Space`.
    group : int
        Input channels that share a scale.
    code : str
        What codes stand for.
    words : tuple of int
        How many words are listed, for each of `VECTORS`; empty if none is left out.
    """

    group: int
    code: str
    words: tuple[int, ...] = ()

    @property
    def family(self) -> str:
        """How the family of kernels is called in records."""
        return "nibbles"

    @property
    def name(self) -> str:
        """Return ``nibbles listed``, or ``nibbles dense``."""
        return f"nibbles {'listed' if self.words else 'dense'}"

    @property
    def names(self) -> tuple[str, ...]:
        """What the decisions are called."""
        return "filters", "rows", "parallel"

    @cached_property
    def best(self) -> Kernel:
        """The kernel that the cost formula likes best."""
        layer, group, code, target = self.layer, self.group, self.code, self.target
        if self.words:
            return nibble_choice.sparse_kernel(layer, group, code, self._listed, target)
        return nibble_choice.dense_kernel(layer, group, code, target)

    def kernels(self) -> Iterable[Kernel]:
        """Return every kernel, as the formula divides it, and with what else threads may divide."""
        found = nibble_choice.tiles(self.layer, self.group, self.code, self.target, VECTORS)
        for tile in found:
            for parallel in (tile.parallel, *(DIVIDED if self.target.cores > 1 else ())):
                yield self._made(replace(tile, parallel=parallel))

    def point(self, kernel: Kernel) -> Point:
        """Return the decisions that make a kernel of the family."""
        tile = kernel.tile
        assert isinstance(tile, NibbleTile)
        threads = DIVIDED.index(tile.parallel)
        return {"filters": tile.filters, "rows": tile.rows, "parallel": threads}

    def _made(self, tile: NibbleTile) -> Kernel:
        words = self._listed.get(tile.filters)
        return nibble_choice.kernel_of(self.layer, tile, words, self.target)

    @property
    def _listed(self) -> dict[int, int]:
        sizes = (number * self.target.lanes for number in VECTORS)
        return dict(zip(sizes, self.words, strict=False))
