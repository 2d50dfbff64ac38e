"""The space of linear kernels with filters in vector lanes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tvm_sparse.kernel import Kernel, sparse_panels
from tvm_sparse.tile import PanelTile
from tvm_sparse.tuning.space import Decision, Point, Space


@dataclass(frozen=True, kw_only=True)
class PanelSpace(Space):
    """Rows of the register tile; its filters are those of a block."""

    @property
    def family(self) -> str:
        """How the family of kernels is called in records."""
        return "panels"

    @property
    def best(self) -> Kernel:
        """The kernel that the cost formula likes best."""
        return min(self._kernels.values(), key=lambda kernel: kernel.seconds)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Rows of the register tile."""
        return (Decision.by_seconds("rows", {n: k.seconds for n, k in self._kernels.items()}),)

    def kernel(self, point: Point) -> Kernel | None:
        """Return the kernel of a point; None if there is none of so many rows."""
        return self._kernels.get(point["rows"])

    def point(self, kernel: Kernel) -> Point:
        """Return the decisions that make a kernel of the family."""
        assert isinstance(kernel.tile, PanelTile)
        return {"rows": kernel.tile.rows}

    @cached_property
    def _kernels(self) -> dict[int, Kernel]:
        found = sparse_panels(self.layer, self.work, self.target)
        return {self.point(one)["rows"]: one for one in found}
