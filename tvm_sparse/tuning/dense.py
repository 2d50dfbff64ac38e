"""The spaces of kernels that multiply every weight."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tvm_sparse.cost import Work
from tvm_sparse.kernel import Kernel, dense, every_tap, panels, register_tiles
from tvm_sparse.tuning.panels import PanelSpace
from tvm_sparse.tuning.tiles import TileSpace

_FILTERS = tuple(range(1, 17))  # of a register tile
_VECTORS = tuple(range(1, 13))  # of filters in lanes


@dataclass(frozen=True, kw_only=True)
class DenseTileSpace(TileSpace):
    """Convolutions: as for row blocks, whose filters are those of the register tile."""

    @property
    def best(self) -> Kernel:
        """The kernel that the cost formula likes best."""
        return dense(self.layer, self.target)

    def work_of(self, filters: int) -> Work:
        """Return what a register tile of so many filters multiplies."""
        return every_tap(self.layer, filters)

    def registers(self) -> Iterable[tuple[int, int]]:
        """Return the (filters, vectors) of register tiles; a layer's filters need not be whole."""
        for filters in _FILTERS:
            yield from register_tiles(filters, self.target, (filters,))


@dataclass(frozen=True, kw_only=True)
class DensePanelSpace(PanelSpace):
    """Linear layers: rows and filters of the register tile, and what threads divide."""

    @property
    def best(self) -> Kernel:
        """The kernel that the cost formula likes best."""
        return dense(self.layer, self.target)

    def kernels(self) -> Iterable[Kernel]:
        """Return every kernel."""
        for vectors in _VECTORS:
            work = every_tap(self.layer, vectors * self.target.lanes)
            yield from self.divided(panels(self.layer, work, self.target), work)
