"""The space of kernels that run pattern by pattern, see `tvm_sparse.kernel.by_patterns`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from tvm_sparse import cost
from tvm_sparse.kernel import Kernel, by_patterns, register_tiles
from tvm_sparse.plane import Plane
from tvm_sparse.tile import Tile
from tvm_sparse.tilings import tilings
from tvm_sparse.tuning.space import Point
from tvm_sparse.tuning.tiles import TileSpace


@dataclass(frozen=True, kw_only=True)
class PatternSpace(TileSpace):
    """Vectors of positions, tiles of rows, chunks of filters, and what threads divide."""

    @property
    def family(self) -> str:
        """How the family of kernels is called in records."""
        return "patterns"

    @property
    def names(self) -> tuple[str, ...]:
        """What the decisions are called."""
        return "registers", "plane", "chunk", "parallel"

    @cached_property
    def best(self) -> Kernel:
        """The kernel that the cost formula likes best."""
        return by_patterns(self.layer, self.work, self._patterns, self.target)

    def made(self, plane: Plane, tile: Tile, point: Point) -> Kernel:
        """Return the kernel with a tile."""
        seconds = self.predicted(plane, tile)
        return Kernel(tile=tile, plane=plane, seconds=seconds, by_pattern=True)

    def predicted(self, plane: Plane, tile: Tile) -> float:
        """Return the time in seconds that the formula predicts."""
        cores = self.target.cores
        return cost.pattern_seconds(plane, tile, self.work, self._patterns, self.target, cores)

    def planes(self) -> Iterable[Plane]:
        """Return the tiles of positions; taps always read a packed input."""
        return (plane for plane in tilings(self.layer, self.target) if not plane.in_place)

    def registers(self) -> Iterable[tuple[int, int]]:
        """Return register tiles of one filter."""
        return register_tiles(1, self.target, (1,))

    @property
    def _patterns(self) -> int:
        return self.used.block[1]
