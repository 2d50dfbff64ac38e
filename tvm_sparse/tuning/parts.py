"""The space of kernels for a weight in two parts, see `tvm_sparse.kernel.two_parts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from tvm_sparse import cost
from tvm_sparse.choose import Parts
from tvm_sparse.kernel import CHUNK, Kernel, register_tiles, tile_of, two_parts
from tvm_sparse.plane import Plane
from tvm_sparse.scheme import Scheme
from tvm_sparse.tile import Tile
from tvm_sparse.tuning.space import Decision, Point
from tvm_sparse.tuning.tiles import TileSpace


@dataclass(frozen=True, kw_only=True)
class PartsSpace(TileSpace):
    """As for row blocks, but stored chunk by chunk; and the vectors of the rest's register tile.

    Parameters
    ----------
    layer, used, work, target
        See `Space`; of the core.
    parts : Parts
    """

    parts: Parts

    @property
    def family(self) -> str:
        """How the family of kernels is called in records."""
        return "parts"

    @property
    def names(self) -> tuple[str, ...]:
        """What the decisions are called."""
        return "registers", "plane", "chunk", "parallel", "rest"

    @property
    def rest(self) -> Scheme:
        """How the weights outside of the core are stored."""
        return self.parts.rest

    @cached_property
    def best(self) -> Kernel:
        """The kernel that the cost formula likes best."""
        return two_parts(self.layer, self.work, self.parts.strays, self.target)

    def kernel(self, point: Point) -> Kernel | None:
        """Return the kernel of a point; None if its decisions do not fit together."""
        plane = self.plane(point["plane"])
        fits = plane is not None and point["rest"] in self._rests(plane)
        return super().kernel(point) if fits else None

    def point(self, kernel: Kernel) -> Point:
        """Return the decisions that make a kernel of the family."""
        assert kernel.rest is not None
        return {**super().point(kernel), "rest": kernel.rest.vectors}

    def made(self, plane: Plane, tile: Tile, point: Point) -> Kernel:
        """Return the kernel with a tile for the core, and one for the rest."""
        lone, added = self._rests(plane)[point["rest"]]
        second = replace(lone, chunk=tile.chunk, parallel=tile.parallel, direct=0)
        seconds = super().predicted(plane, tile) + added
        return Kernel(tile=tile, plane=plane, seconds=seconds, rest=second)

    def predicted(self, plane: Plane, tile: Tile) -> float:
        """Return the time in seconds that the formula predicts, with the best tile of the rest."""
        return super().predicted(plane, tile) + self._least(plane)

    def others(self, planes: Mapping[int, float]) -> Iterable[Decision]:
        """Return the decision on the vectors of the rest."""
        best: dict[int, float] = {}
        for size, seconds in planes.items():
            plane = self.plane(size)
            assert plane is not None
            for vectors, (_, added) in self._rests(plane).items():
                total = seconds - self._least(plane) + added
                best[vectors] = min(total, best.get(vectors, total))
        return [Decision.by_seconds("rest", best, self.point(self.best)["rest"])]

    def tile(
        self, plane: Plane, register: int, chunk: int = CHUNK, parallel: int | None = None
    ) -> Tile:
        """Return the core's tile."""
        return replace(super().tile(plane, register, chunk, parallel), direct=0, tail=0)

    def _least(self, plane: Plane) -> float:
        return min(added for _, added in self._rests(plane).values())

    def _rests(self, plane: Plane) -> dict[int, tuple[Tile, float]]:
        """Return the tiles of the rest by their vectors, and the seconds that each adds."""
        known = self._tiles_of_rest
        if plane not in known:
            strays, target = self.parts.strays, self.target
            tiles = [tile_of(plane, strays, 1, v, target) for _, v in self._lone]
            known[plane] = {
                tile.vectors: (tile, cost.rest_seconds(plane, tile, strays, target, target.cores))
                for tile in tiles
            }
        return known[plane]

    @cached_property
    def _lone(self) -> list[tuple[int, int]]:
        return list(register_tiles(1, self.target, (1,)))

    @cached_property
    def _tiles_of_rest(self) -> dict[Plane, dict[int, tuple[Tile, float]]]:
        return {}
