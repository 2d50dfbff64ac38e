"""The space of kernels with positions in vector lanes, see `tvm_sparse.kernel.tiles`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from tvm_sparse import cost
from tvm_sparse.kernel import CHUNK, Kernel, register_tiles, tile_of, tiles
from tvm_sparse.plane import Plane
from tvm_sparse.tile import Tile
from tvm_sparse.tilings import sliced, tilings
from tvm_sparse.tuning.space import Decision, Point, Space

_CHUNKS = (8, 16, 32, 64, 128, 256)


@dataclass(frozen=True, kw_only=True)
class TileSpace(Space):
    """Register tiles, tiles of positions, chunks of rows, how sums are stored, and slices."""

    @property
    def family(self) -> str:
        """How the family of kernels is called in records."""
        return "tiles"

    @cached_property
    def best(self) -> Kernel:
        """The kernel that the cost formula likes best."""
        return tiles(self.layer, self.work, self.target)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Register tile, tile of positions, chunk, stores from registers, slices of channels."""
        registers, planes = self._predicted()
        pair = (
            Decision.by_seconds("registers", registers),
            Decision.by_seconds("plane", planes),
        )
        cut = [
            self._tile(self._planes[size], register, chunk)
            for register in pair[0].values
            for size in pair[1].values
            for chunk in _CHUNKS
        ]
        chunk = Decision.among("chunk", (tile.chunk for tile in cut))
        direct = Decision.among("direct", {0, *(tile.direct for tile in cut)})
        parts = Decision.among("slices", {0, *(1 for tile in cut if self._sliced(tile))})
        return *pair, chunk, direct, parts

    def kernel(self, point: Point) -> Kernel | None:
        """Return the kernel of a point; None if its decisions do not fit together.

        They do not if another point stands for the same kernel: chunks must be whole register
        tiles, register tiles no longer than the tile.
        """
        plane = self._planes.get(point["plane"])
        if plane is None or point["registers"] not in self._registers:
            return None
        tile = self._tile(plane, point["registers"], point["chunk"])
        tile = replace(tile, direct=min(tile.direct, point["direct"]))
        if point["slices"]:
            tile = next(iter(self._sliced(tile)), tile)
        seconds = cost.tile_seconds(plane, tile, self.work, self.target, self.target.cores)
        found = Kernel(tile=tile, plane=plane, seconds=seconds)
        return found if self.point(found) == point else None

    def point(self, kernel: Kernel) -> Point:
        """Return the decisions that make a kernel of the family."""
        tile, plane = kernel.tile, kernel.plane
        assert isinstance(tile, Tile) and plane is not None
        return {
            "registers": _code(tile.filters, tile.vectors),
            "plane": _size(plane),
            "chunk": tile.chunk,
            "direct": tile.direct,
            "slices": int(tile.slice > 0),
        }

    @cached_property
    def _planes(self) -> dict[int, Plane]:
        return {_size(plane): plane for plane in tilings(self.layer, self.target)}

    @cached_property
    def _registers(self) -> tuple[int, ...]:
        return tuple(_code(*p) for p in register_tiles(self.work.filters, self.target))

    def _sliced(self, tile: Tile) -> list[Tile]:
        plane = self._planes[_size(tile)]
        return sliced(plane, tile, self.work, self.target)

    def _predicted(self) -> tuple[dict[int, float], dict[int, float]]:
        """Return the best predicted time with each register tile, and with each plane."""
        registers: dict[int, float] = {}
        planes: dict[int, float] = {}
        for size, plane in self._planes.items():
            for register in self._registers:
                tile = self._tile(plane, register)
                seconds = cost.tile_seconds(plane, tile, self.work, self.target, self.target.cores)
                used = _code(tile.filters, tile.vectors)
                registers[used] = min(seconds, registers.get(used, seconds))
                planes[size] = min(seconds, planes.get(size, seconds))
        return registers, planes

    def _tile(self, plane: Plane, register: int, chunk: int = CHUNK) -> Tile:
        filters, vectors = divmod(register, 100)
        return tile_of(plane, self.work, filters, vectors, self.target, chunk)


def _code(filters: int, vectors: int) -> int:
    """Return a register tile as one number: 402 is 4 filters × 2 vectors."""
    return 100 * filters + vectors


def _size(tile: Plane | Tile) -> int:
    """Return a tile of positions as one number: its rows or positions, then 1 if in place."""
    return 10 * (tile.run or tile.rows) + tile.in_place
