"""The space of linear kernels with filters in vector lanes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from tvm_sparse import cost
from tvm_sparse.cost import Work
from tvm_sparse.kernel import Kernel, sparse_panels
from tvm_sparse.tile import PanelTile
from tvm_sparse.tuning.space import Listed, Point

DIVIDED = ("panels", "rows")


@dataclass(frozen=True, kw_only=True)
class PanelSpace(Listed):
    """Rows and filters of the register tile, and what threads divide."""

    @property
    def family(self) -> str:
        """How the family of kernels is called in records."""
        return "panels"

    @property
    def names(self) -> tuple[str, ...]:
        """What the decisions are called."""
        return "filters", "rows", "parallel"

    @cached_property
    def best(self) -> Kernel:
        """The kernel that the cost formula likes best."""
        found = sparse_panels(self.layer, self.work, self.target)
        return min(found, key=lambda kernel: kernel.seconds)

    def kernels(self) -> Iterable[Kernel]:
        """Return every kernel; the filters of a register tile are those of a block."""
        found = sparse_panels(self.layer, self.work, self.target)
        return self.divided(found, self.work)

    def point(self, kernel: Kernel) -> Point:
        """Return the decisions that make a kernel of the family."""
        tile = kernel.tile
        assert isinstance(tile, PanelTile)
        threads = DIVIDED.index(tile.parallel)
        return {"filters": tile.filters, "rows": tile.rows, "parallel": threads}

    def divided(self, kernels: Iterable[Kernel], work: Work) -> Iterator[Kernel]:
        """Yield kernels as they are, and with what else threads may divide."""
        for kernel in kernels:
            yield kernel
            for parallel in DIVIDED if self.target.cores > 1 else ():
                assert isinstance(kernel.tile, PanelTile)
                threads = self.target.cores if parallel == "panels" else 1
                yield self.made(replace(kernel.tile, parallel=parallel, threads=threads), work)

    def made(self, tile: PanelTile, work: Work) -> Kernel:
        """Return the kernel with a tile."""
        target = self.target
        seconds = cost.panel_seconds(self.layer, tile, work, target, target.cores)
        return Kernel(tile=tile, plane=None, seconds=seconds)
