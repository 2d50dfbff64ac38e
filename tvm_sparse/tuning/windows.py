"""The space of linear kernels whose lanes select their inputs, see `tvm_sparse.windows`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from tvm_sparse import window_kernel
from tvm_sparse.cost import Work
from tvm_sparse.kernel import Kernel
from tvm_sparse.tile import PanelTile, WindowTile
from tvm_sparse.tuning.panels import PanelSpace
from tvm_sparse.tuning.space import Point

_UNROLLED = 16  # weights of a filter, at most, that are multiplied without a loop


@dataclass(frozen=True, kw_only=True)
class WindowSpace(PanelSpace):
    """Rows, filters, windows that are unrolled, and what threads divide.

    Parameters
    ----------
    layer, used, work, target
        See `Space`.
    slots : int
        Weights that each filter has in a window.
    """

    slots: int

    @property
    def family(self) -> str:
        """How the family of kernels is called in records."""
        return "windows"

    @property
    def names(self) -> tuple[str, ...]:
        """What the decisions are called."""
        return "filters", "rows", "unroll", "parallel"

    @cached_property
    def best(self) -> Kernel:
        """The kernel that the cost formula likes best."""
        found = window_kernel.best(self.layer, self.slots, self.target)
        assert found is not None
        return found

    def kernels(self) -> Iterable[Kernel]:
        """Return every kernel."""
        steps = range(1, max(_UNROLLED // self.slots, 1) + 1)
        found = window_kernel.kernels(self.layer, self.slots, self.target, steps)
        return self.divided(found, self.work)

    def point(self, kernel: Kernel) -> Point:
        """Return the decisions that make a kernel of the family."""
        assert isinstance(kernel.tile, WindowTile)
        return {**super().point(kernel), "unroll": kernel.tile.step}

    def made(self, tile: PanelTile, work: Work) -> Kernel:
        """Return the kernel with a tile."""
        assert isinstance(tile, WindowTile)
        return window_kernel.kernel_of(self.layer, tile, self.target)
