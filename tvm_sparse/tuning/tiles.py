"""The space of kernels with positions in vector lanes, see `tvm_sparse.kernel.tiles`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from tvm_sparse import cost
from tvm_sparse.cost import Work
from tvm_sparse.kernel import CHUNK, Kernel, register_tiles, tile_of, tiles
from tvm_sparse.plane import Plane
from tvm_sparse.tile import Tile
from tvm_sparse.tilings import sliced, tilings
from tvm_sparse.tuning.space import Decision, Point, Space

_CHUNKS = (8, 16, 32, 64, 128, 256)


@dataclass(frozen=True, kw_only=True)
class TileSpace(Space):
    """Register tiles, tiles of positions, chunks, stores, slices, and what threads divide."""

    @property
    def family(self) -> str:
        """How the family of kernels is called in records."""
        return "tiles"

    @property
    def names(self) -> tuple[str, ...]:
        """What the decisions are called."""
        return "registers", "plane", "chunk", "direct", "slices", "parallel"

    @cached_property
    def best(self) -> Kernel:
        """The kernel that the cost formula likes best."""
        return tiles(self.layer, self.work, self.target)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Register tile and tile of positions by predicted time, the others evenly."""
        registers, planes = self._predicted()
        own = self.point(self.best)
        found = [
            Decision.by_seconds("registers", registers, own["registers"]),
            Decision.by_seconds("plane", planes, own["plane"]),
        ]
        cut = [
            self.tile(self._planes[size], register)
            for register, size in product(*(decision.values for decision in found))
        ]
        found += [
            Decision.among("chunk", self._chunks(found[0].values)),
            Decision.among("direct", {0, *(tile.direct for tile in cut)}),
            Decision.among("slices", {0, *(1 for tile in cut if self._sliced(tile))}),
            Decision.among("parallel", self._threads(cut)),
        ]
        found = [one for one in found if one.name in self.names]
        return *found, *self.others(planes)

    def others(self, planes: Mapping[int, float]) -> Iterable[Decision]:
        """Return further decisions, given the best predicted time with each plane."""
        return ()

    def kernel(self, point: Point) -> Kernel | None:
        """Return the kernel of a point; None if its decisions do not fit together.

        They do not if another point stands for the same kernel: register tiles must be no longer
        than the tile, and of bounds that give the same chunk the smallest counts.
        """
        plane = self.plane(point["plane"])
        if plane is None or point["registers"] not in self._registers:
            return None
        tile = self.tile(plane, point["registers"], point["chunk"], point["parallel"])
        tile = replace(tile, direct=min(tile.direct, point.get("direct", 1)))
        if point.get("slices"):
            tile = next(iter(self._sliced(tile)), tile)
        found = self.made(plane, tile, point)
        return found if self.point(found) == point else None

    def point(self, kernel: Kernel) -> Point:
        """Return the decisions that make a kernel of the family."""
        tile, plane = kernel.tile, kernel.plane
        assert isinstance(tile, Tile) and plane is not None
        point = {
            "registers": _code(tile.filters, tile.vectors),
            "plane": _size(plane),
            "chunk": self._bound(plane, tile),
            "direct": tile.direct,
            "slices": int(tile.slice > 0),
            "parallel": _threads(tile),
        }
        return {name: value for name, value in point.items() if name in self.names}

    def made(self, plane: Plane, tile: Tile, point: Point) -> Kernel:
        """Return the kernel with a tile."""
        return Kernel(tile=tile, plane=plane, seconds=self.predicted(plane, tile))

    def predicted(self, plane: Plane, tile: Tile) -> float:
        """Return the time in seconds that the formula predicts."""
        work = self.work_of(tile.filters)
        return cost.tile_seconds(plane, tile, work, self.target, self.target.cores)

    def work_of(self, filters: int) -> Work:
        """Return what a register tile of so many filters multiplies."""
        return self.work

    def planes(self) -> Iterable[Plane]:
        """Return the tiles of positions."""
        return tilings(self.layer, self.target)

    def registers(self) -> Iterable[tuple[int, int]]:
        """Return the (filters, vectors) of register tiles."""
        return register_tiles(self.work.filters, self.target)

    def plane(self, size: int) -> Plane | None:
        """Return the tile of positions that a decision stands for, if it is one of this layer."""
        return self._planes.get(size)

    @cached_property
    def _planes(self) -> dict[int, Plane]:
        return {_size(plane): plane for plane in self.planes()}

    @cached_property
    def _registers(self) -> tuple[int, ...]:
        return tuple(_code(*pair) for pair in self.registers())

    def _sliced(self, tile: Tile) -> list[Tile]:
        plane = self._planes[_size(tile)]
        return sliced(plane, tile, self.work_of(tile.filters), self.target)

    def _predicted(self) -> tuple[dict[int, float], dict[int, float]]:
        """Return the best predicted time with each register tile, and with each plane."""
        registers: dict[int, float] = {}
        planes: dict[int, float] = {}
        for size, plane in self._planes.items():
            for register in self._registers:
                tile = self.tile(plane, register)
                seconds = self.predicted(plane, tile)
                used = _code(tile.filters, tile.vectors)
                registers[used] = min(seconds, registers.get(used, seconds))
                planes[size] = min(seconds, planes.get(size, seconds))
        return registers, planes

    def _chunks(self, registers: Iterable[int]) -> Iterator[int]:
        """Yield the bounds of chunks that differ for some register tile."""
        plane = next(iter(self._planes.values()))  # chunks depend on no plane
        for register, threads in product(registers, (0, 1)):
            for chunk in _CHUNKS:
                tile = self.tile(plane, register, chunk, threads)
                yield self._bound(plane, tile)

    def _bound(self, plane: Plane, tile: Tile) -> int:
        """Return the smallest bound that gives a tile's chunk."""
        register, threads = _code(tile.filters, tile.vectors), _threads(tile)
        cut = (self.tile(plane, register, chunk, threads).chunk for chunk in _CHUNKS)
        return next(c for c, found in zip(_CHUNKS, cut, strict=True) if found == tile.chunk)

    def _threads(self, cut: Iterable[Tile]) -> set[int]:
        """Return what threads may divide: chunks, where rows stand in the order of filters."""
        alone = self.target.cores == 1
        return {0} if alone else {threads for tile in cut for threads in (0, int(tile.chunk > 0))}

    def tile(
        self, plane: Plane, register: int, chunk: int = CHUNK, parallel: int | None = None
    ) -> Tile:
        """Return the cuts around a register tile, see `tile_of`."""
        filters, vectors = divmod(register, 100)
        by_tiles = None if parallel is None else parallel == 0
        work = self.work_of(filters)
        return tile_of(plane, work, filters, vectors, self.target, chunk, by_tiles)


def _threads(tile: Tile) -> int:
    """Return 0 if threads divide tiles of positions, 1 if they divide chunks of filters."""
    return int(tile.parallel == "filters")


def _code(filters: int, vectors: int) -> int:
    """Return a register tile as one number: 402 is 4 filters × 2 vectors."""
    return 100 * filters + vectors


def _size(tile: Plane | Tile) -> int:
    """Return a tile of positions as one number: its rows or positions, then 1 if in place."""
    return 10 * (tile.run or tile.rows) + tile.in_place
