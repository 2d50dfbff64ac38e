"""The kernel families, and the tile that the cost formula likes best in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from tvm_sparse import cost
from tvm_sparse.cost import Work
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.stock import Stock
from tvm_sparse.tile import PanelTile, Tile
from tvm_sparse.tilings import sliced, tilings
from tvm_sparse.workgroup import Workgroup

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

Cuts = Tile | PanelTile | Workgroup | Stock  # how a kernel is cut

CHUNK = 64  # rows computed before they are stored: enough that stores are not read back at once
_SUMS_SHARE = 0.25  # share of L2 that the sums of a chunk in slices may take
_PACKED = 16  # channels of a depthwise layer packed before the first is multiplied
_L1_SHARE = 0.5  # share of L1 that these may take


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One way to compute a layer.

    Parameters
    ----------
    tile : Tile, PanelTile, Workgroup or Stock
        A `Tile` keeps positions in vector lanes, a `PanelTile` filters; those of a `WindowTile`
        select their inputs. On GPUs, a `Workgroup`; `Stock` where TVM's own schedule does it.
    plane : Plane or None
        The packed input of a `Tile`.
    seconds : float
        Predicted time.
    rest : Tile, optional
        The cuts of a second product, over the weights that the first leaves out.
    by_pattern : bool
        Whether the product runs over kernels pattern by pattern, and not over row blocks.
    """

    tile: Cuts
    plane: Plane | None
    seconds: float
    rest: Tile | None = None
    by_pattern: bool = False

    def __str__(self) -> str:
        """Return e.g. ``8 filters × 3 vectors of 16 positions, by pattern``."""
        rest = "" if self.rest is None else f", rest {self.rest.filters} × {self.rest.vectors}"
        return f"{self.tile}{rest}{', by pattern' if self.by_pattern else ''}"


@cache
def dense(layer: Layer, target: Target) -> Kernel:
    """Return the best kernel that multiplies every weight."""
    if layer.depthwise:
        return by_channels(layer, target)
    if layer.op == "linear":
        return min(_dense_panels(layer, target), key=lambda kernel: kernel.seconds)
    found = [tiles(layer, every_tap(layer, rows), target, (rows,)) for rows in (1, 2, 4, 8)]
    return min(found, key=lambda kernel: kernel.seconds)


def every_tap(layer: Layer, filters: int) -> Work:
    """Return what a dense kernel multiplies whose blocks have so many filters."""
    blocks = -(-layer.filters // layer.groups // filters) * layer.groups
    return Work(blocks=blocks, taps=blocks * layer.taps, filters=filters, indexed=False)


def sparse(layer: Layer, work: Work, target: Target) -> Kernel:
    """Return the best kernel over row blocks."""
    found = [tiles(layer, work, target)]
    if layer.op == "linear":
        found.extend(sparse_panels(layer, work, target))
    return min(found, key=lambda kernel: kernel.seconds)


def by_patterns(layer: Layer, work: Work, patterns: int, target: Target) -> Kernel:
    """Return the best kernel over kernels that are sorted by pattern, filter by filter."""
    found = []
    for plane in (p for p in tilings(layer, target) if not p.in_place):
        for _, vectors in register_tiles(1, target, (1,)):
            tile = tile_of(plane, work, 1, vectors, target)
            seconds = cost.pattern_seconds(plane, tile, work, patterns, target, target.cores)
            found.append(Kernel(tile=tile, plane=plane, seconds=seconds, by_pattern=True))
    return min(found, key=lambda kernel: kernel.seconds)


def two_parts(layer: Layer, work: Work, rest: Work, target: Target) -> Kernel:
    """Return the best kernel that adds the product of a rest, filter by filter, to a core's."""
    found = []
    for plane in tilings(layer, target):
        lone = [tile_of(plane, rest, 1, v, target) for _, v in register_tiles(1, target, (1,))]
        costs = [cost.rest_seconds(plane, tile, rest, target, target.cores) for tile in lone]
        added = min(costs)
        second = lone[costs.index(added)]
        for filters, vectors in register_tiles(work.filters, target):
            tile = replace(tile_of(plane, work, filters, vectors, target), direct=0, tail=0)
            second = replace(second, chunk=tile.chunk, parallel=tile.parallel, direct=0)
            seconds = cost.tile_seconds(plane, tile, work, target, target.cores) + added
            found.append(Kernel(tile=tile, plane=plane, seconds=seconds, rest=second))
    return min(found, key=lambda kernel: kernel.seconds)


def tiles(layer: Layer, work: Work, target: Target, rows: tuple[int, ...] = (1, 2, 4, 8)) -> Kernel:
    """Return the best kernel with positions in lanes; `rows` are the register tiles to try."""
    best: Kernel | None = None
    for filters, vectors in register_tiles(work.filters, target, rows):
        for plane in tilings(layer, target):
            chunk = _long_chunk(plane, work, target)
            whole = tile_of(plane, work, filters, vectors, target)
            known = chunk == CHUNK
            long = whole if known else tile_of(plane, work, filters, vectors, target, chunk)
            for tile in (whole, *sliced(plane, long, work, target)):
                seconds = cost.tile_seconds(plane, tile, work, target, target.cores)
                if best is None or seconds < best.seconds:
                    best = Kernel(tile=tile, plane=plane, seconds=seconds)
    assert best is not None  # one filter by one vector always fits
    return best


def _long_chunk(plane: Plane, work: Work, target: Target) -> int:
    """Return the rows of a chunk in slices: the more, the fewer times a slice is brought to L1.

    Their sums must stay in L2, beside the input, and threads must have equally many chunks.
    """
    rows = work.blocks * work.filters
    for chunk in (4 * CHUNK, 2 * CHUNK):
        fits = 4 * chunk * plane.length <= _SUMS_SHARE * target.l2
        if fits and rows % (chunk * target.cores) == 0:
            return chunk
    return CHUNK


def register_tiles(
    filters: int, target: Target, rows: tuple[int, ...] = (1, 2, 4, 8)
) -> Iterator[tuple[int, int]]:
    """Yield the (filters, vectors) whose sums, inputs and a weight fit the vector registers."""
    for row in rows:
        for vectors in range(1, target.registers) if filters % row == 0 else ():
            inputs = vectors if row > 1 or target.in_order else 1
            if row * vectors + inputs + 1 < target.registers:
                yield row, vectors


@cache
def by_channels(layer: Layer, target: Target) -> Kernel:
    """Return the best kernel of a depthwise convolution or a pooling window."""
    taps = _unrolled(layer, target)
    most = target.registers // (4 if taps == layer.taps else 2)
    found = (
        channel_kernel(plane, vectors, _channels(plane, target), taps, target)
        for plane, vectors in channel_planes(layer, target, min(most, 8))
    )
    return min(found, key=lambda kernel: kernel.seconds)


def channel_planes(layer: Layer, target: Target, most: int) -> Iterator[tuple[Plane, int]]:
    """Yield the tiles of rows that stay in L1, with the strips of a register tile, up to `most`."""
    fold = _fold(layer, target.lanes)
    strips = -(-layer.output[1] // fold)
    for vectors in range(1, min(most, strips) + 1):
        for parts in range(1, -(-strips // vectors) + 1):
            rows = parts * vectors * fold
            plane = Plane(layer=layer, step=target.lanes, rows=rows, fold=fold)
            if parts > 1 and (plane.channel + plane.length) * 4 > _L1_SHARE * target.l1:
                break
            yield plane, vectors


def channel_kernel(plane: Plane, vectors: int, chunk: int, taps: int, target: Target) -> Kernel:
    """Return a kernel that works channel by channel; `chunk` of them are packed at a time."""
    tile = Tile(
        filters=1,
        vectors=vectors,
        last=vectors,
        lanes=target.lanes,
        chunk=chunk,
        rows=plane.rows,
        fold=plane.fold,
        strip=plane.strip // target.lanes,
        taps=taps,
        parallel="channels",
    )
    seconds = cost.channel_seconds(plane, tile, target) / target.cores
    return Kernel(tile=tile, plane=plane, seconds=seconds)


def _fold(layer: Layer, lanes: int) -> int:
    """Return how many rows a vector of a depthwise layer covers, one at least."""
    row = Plane(layer=layer, step=lanes, rows=1)
    return min(max((lanes - layer.output[2]) // row.pitch + 1, 1), layer.output[1])


def _unrolled(layer: Layer, target: Target) -> int:
    """Return how many taps of a depthwise layer to unroll: all, those of a kernel row, or one.

    Unrolling all lets neighbouring rows share what they read; more weights than registers would
    push these reads back to memory.
    """
    return next((n for n in (layer.taps, layer.kernel[1]) if n <= target.registers), 1)


def _channels(plane: Plane, target: Target) -> int:
    """Return how many channels to pack before the first of them is multiplied.

    A load that overlaps several stores waits until these have left the store queue; packing some
    other channels in between gives them the time.
    """
    most = int(_L1_SHARE * target.l1) // (4 * (plane.channel + plane.length))
    return max(d for d in range(1, max(min(most, _PACKED), 1) + 1) if plane.layer.filters % d == 0)


def tile_of(
    plane: Plane,
    work: Work,
    filters: int,
    vectors: int,
    target: Target,
    chunk: int = CHUNK,
    by_tiles: bool | None = None,
) -> Tile:
    """Return the cuts around a register tile; at most `chunk` rows are computed, then stored.

    `by_tiles` says whether threads divide tiles, where chunks of filters could be divided too; by
    default they do if these are many, or as many for each.
    """
    layer = plane.layer
    rows = work.blocks * work.filters
    parts = plane.all_tiles
    if by_tiles is None:
        by_tiles = target.cores == 1 or parts >= 2 * target.cores or parts % target.cores == 0
    chunk = _chunk(rows, filters, 1 if by_tiles else target.cores, chunk)
    ragged_groups = layer.groups > 1 and layer.filters // layer.groups % work.filters
    uneven = -(-layer.filters // chunk) != rows // chunk
    if work.reordered or ragged_groups or uneven:
        chunk, by_tiles = 0, True  # rows and filters are numbered differently
    across, left = plane.length // target.lanes, plane.used % target.lanes
    return Tile(
        filters=filters,
        vectors=min(vectors, across),
        lanes=target.lanes,
        chunk=chunk,
        rows=plane.rows,
        run=plane.run,
        last=(across - 1) % min(vectors, across) + 1,
        tail=left if 2 * left <= filters else 0,
        in_place=int(plane.in_place),
        direct=int(_is_direct(plane, work)),
        parallel="tiles" if by_tiles else "filters",
        op=layer.op,
        threads=1 if by_tiles else target.cores,
    )


def _is_direct(plane: Plane, work: Work) -> bool:
    """Whether every register tile is stored from registers: rows are filters, lanes positions."""
    in_order = not work.reordered and plane.layer.filters // plane.layer.groups % work.filters == 0
    return plane.flat and in_order


def _chunk(rows: int, filters: int, threads: int, chunk: int) -> int:
    """Return the largest divisor of the rows that is no more than a chunk or a thread's share."""
    tiles = rows // filters
    most = max(min(chunk // filters, -(-tiles // threads)), 1)
    return filters * next(d for d in range(most, 0, -1) if tiles % d == 0)


def _dense_panels(layer: Layer, target: Target) -> Iterator[Kernel]:
    for vectors in (1, 2, 3, 4, 8):
        yield from panels(layer, every_tap(layer, vectors * target.lanes), target)


def sparse_panels(layer: Layer, work: Work, target: Target) -> Iterator[Kernel]:
    """Yield the kernels over row blocks with filters in lanes; none if blocks do not fit lanes."""
    if work.filters & (work.filters - 1) == 0 and not work.reordered:
        yield from panels(layer, work, target)


def panels(layer: Layer, work: Work, target: Target) -> Iterator[Kernel]:
    """Yield the kernels with the filters of a block in lanes, by rows of the register tile."""
    vectors = max(work.filters // target.lanes, 1)
    for rows in range(1, min(layer.positions, 12) + 1):
        inputs = rows if target.in_order else 1  # all of them are loaded before they are used
        if rows * vectors + vectors + inputs < target.registers:
            by_panels = work.blocks >= target.cores
            tile = PanelTile(
                filters=work.filters,
                rows=rows,
                lanes=target.lanes,
                parallel="panels" if by_panels else "rows",
                threads=target.cores if by_panels else 1,
            )
            seconds = cost.panel_seconds(layer, tile, work, target, target.cores)
            yield Kernel(tile=tile, plane=None, seconds=seconds)


def dense_panel(layer: Layer, target: Target, filters: int, rows: int) -> Kernel:
    """Return the dense kernel with a given register tile, rows over threads."""
    tile = PanelTile(filters=filters, rows=rows, lanes=target.lanes, parallel="rows")
    work = every_tap(layer, filters)
    seconds = cost.panel_seconds(layer, tile, work, target, target.cores)
    return Kernel(tile=tile, plane=None, seconds=seconds)
