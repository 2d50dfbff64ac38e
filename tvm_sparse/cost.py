"""How long a kernel takes: a closed formula of the layer, its tile and the target.

The inner loop issues, for each tap, filters × vectors multiply-adds, one broadcast load a filter
and one load a vector (two when rows are not aligned to vectors), and draws the vectors from L2 once
a tile's input exceeds L1; the slowest of the three decides. Around it come filling the registers,
packing the input, storing the output, and weights that do not stay in L2.

The constants were fitted to 1152 measured kernels (AMD Zen 5, ResNet, MobileNet and BERT layers at
densities of 0.05 to 1, random tiles): mean error 13 %, median 9 %, correlation 0.99. Two were set
after that, by whole sweeps over layers: the share of L1, and what streaming weights exposes.
`tvm_sparse.lists` has the formula for lists of single weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tvm_sparse import lists
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.tile import PanelTile, Tile, WindowTile

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

L1_SHARE = 0.5  # share of L1 that inputs may take: sums and outputs pass through it too
_L2_BYTES = 40.0  # a core draws from its L2 each cycle
_TAP = 1.5  # cycles around a tap's multiply-adds
_SUM = 0.25  # cycles to spill one vector of sums
_LIST = 20.0  # cycles to begin and end a list of very few taps
_KERNELS = 55.0  # the same for a list of kernels of one pattern
_INDEX = 1.5  # cycles that a tap saves without an index
_STORE = 5.0  # cycles to store one vector of outputs
_DIRECT = 2.0  # the same from registers
_FAR_LINE = 1.5  # cycles to move a cache line from beyond L2
_EXPOSED = 0.35  # share of the time of streaming weights that multiplying does not hide
_LATENCY = 4.0  # cycles until a sum can be added to again
_WEIGHT_LINE = 3.0  # cycles to stream a cache line of weights that are read once
_TRANSPOSE = 8.0  # cycles to transpose a vector
_SCATTERED = 2.0  # loads that an input takes where neighbouring taps are not neighbouring channels
_PACK = {  # cycles a packed vector
    "in place": 0.0,
    "linear": 4.5,
    "flat": 4.5,
    "rows": 8.0,
    "phases": 8.0,
}
_PACK_CHANNEL = 1.5  # the same when a channel's tile is copied within L1
_STORE_ROW = 1.0  # cycles to store such a kernel's vector, or each row that it holds
_AROUND = 4.0  # cycles around a register tile of such a kernel
_SELECTED = 1.48  # multiply-adds in the time of one whose inputs are permuted
_SLOT = 0.25  # cycles to load and shift a vector of indices, and its weights
_WINDOW = 0.34  # cycles to load the window of a row
_FAR_WINDOW = 0.75  # cycles a cache line of windows from beyond L2 holds up the product


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a product multiplies.

    Parameters
    ----------
    blocks : int
        Blocks of filters that share a list of taps.
    taps : int
        Taps over all blocks.
    filters : int
        Filters of a block.
    indexed : bool
        Whether each block has a list of taps of its own.
    reordered : bool
        Whether rows stand in another order than the filters they compute.
    """

    blocks: int
    taps: int
    filters: int
    indexed: bool = True
    reordered: bool = False

    @property
    def single(self) -> bool:
        """Whether each filter has a list of taps to itself."""
        return self.indexed and self.filters == 1

    @property
    def nbytes(self) -> int:
        """Bytes of weights and indices that the product reads."""
        index = self.taps * 4 + self.blocks * 8 if self.indexed else 0
        return self.taps * self.filters * 4 + index


def tile_seconds(plane: Plane, tile: Tile, work: Work, target: Target, threads: int = 1) -> float:
    """Predict the time of a kernel with positions in lanes.

    Parameters
    ----------
    plane, tile, work
        The kernel.
    target : Target
    threads : int
        Threads that divide tiles or chunks among themselves.

    Returns
    -------
    float
        Seconds.
    """
    product = (lists.cycles if work.single else _product)(plane, tile, work, target)
    return with_surroundings(product, plane, tile, work, target, threads)


def with_surroundings(
    product: float, plane: Plane, tile: Tile, work: Work, target: Target, threads: int
) -> float:
    """Add to the cycles of a product what stands around it; return seconds."""
    layer = plane.layer
    tiles = plane.all_tiles
    pack = tiles * layer.channels * plane.channel / tile.lanes * _PACK[_kind(plane)]
    if layer.op == "linear" and layer.dtype != "int8":  # words stand in that order anyway
        pack += layer.positions * (layer.channels + layer.filters) / tile.lanes * _TRANSPOSE
    far = _far_lines(plane, tile, target) * _FAR_LINE
    far += _weight_passes(plane, tile, work, target) * target.ghz * 1e9
    parts = tiles if tile.parallel == "tiles" else -(-layer.filters // tile.chunk)
    share = -(-parts // threads) / parts
    alone = 0.0 if tile.parallel == "tiles" else pack * (1 - share)
    return ((product + pack + far) * share + alone) / (target.ghz * 1e9)


def channel_seconds(plane: Plane, tile: Tile, target: Target) -> float:
    """Predict the time of a depthwise or pooling kernel on one core; parameters as `tile_seconds`.

    Rows of a register tile share the vectors they read; weights that fill no more than half of the
    registers stay there.
    """
    layer = plane.layer
    tiles = plane.all_tiles * layer.filters
    vectors = plane.length / tile.lanes
    first = np.arange(tile.vectors)[:, None] * plane.fold * plane.pitch
    taps = plane.offset_of(np.arange(layer.taps)) + first
    loads = 2 * len(np.unique(taps)) / tile.vectors if tile.taps == layer.taps else 2 * layer.taps
    if layer.taps > target.registers // 2:
        loads += layer.taps / (1 if tile.taps == layer.taps else tile.vectors)
    product = max(layer.taps / target.fma_per_cycle, loads / target.loads_per_cycle)
    cycles = tiles * vectors * (product + _STORE_ROW * plane.fold + _AROUND / tile.vectors)
    cycles += tiles * plane.channel / tile.lanes * _PACK_CHANNEL
    return (cycles + _far_lines(plane, tile, target) * _FAR_LINE) / (target.ghz * 1e9)


def rest_seconds(plane: Plane, tile: Tile, work: Work, target: Target, threads: int = 1) -> float:
    """Predict what a second product over the same packed input adds; parameters as `tile_seconds`.

    Its lists of taps are short and of unequal length, so that the end of each is mispredicted.
    """
    layer = plane.layer
    tiles = plane.all_tiles
    parts = tile.parts(plane.length)
    product = tiles * work.taps * sum(n * _tap(plane, tile, part, target) for part, n in parts)
    ends = tiles * work.blocks * sum(number for _, number in parts) * _LIST
    sums = tiles * plane.length / tile.lanes * work.blocks * _SUM
    store = layer.positions * layer.filters / tile.lanes * _SUM
    return (product + ends + sums + store) / threads / (target.ghz * 1e9)


def pattern_seconds(
    plane: Plane, tile: Tile, work: Work, patterns: int, target: Target, threads: int = 1
) -> float:
    """Predict the time of a kernel over kernel patterns; parameters as `tile_seconds`.

    A tap needs no index, but each filter has as many lists of kernels as there are patterns.
    """
    tiles = plane.all_tiles
    across = tiles * sum(number for _, number in tile.parts(plane.length))
    product = lists.cycles(plane, tile, work, target)
    product += across * (work.blocks * patterns * _KERNELS - work.taps * _INDEX)
    return with_surroundings(product, plane, tile, work, target, threads)


def panel_seconds(
    layer: Layer, tile: PanelTile, work: Work, target: Target, threads: int = 1
) -> float:
    """Predict the time of a linear kernel with filters in lanes; parameters as `tile_seconds`."""
    vectors = max(tile.filters // tile.lanes, 1)
    tiles = -(-layer.positions // tile.rows)
    multiply = tile.rows * vectors / target.fma_per_cycle
    inputs = tile.rows * (_SCATTERED if work.indexed else 1.0)
    load = (inputs + vectors) / target.loads_per_cycle
    tap = max(multiply, load, _LATENCY) + max(0.5 if work.indexed else 0.0, target.tap)
    product = tiles * work.taps * tap
    store = layer.positions * -(-layer.filters // tile.lanes) * _STORE
    far = 0.0
    if work.nbytes > 0.75 * target.l2:
        far = work.nbytes / target.line * (_WEIGHT_LINE if tiles == 1 else 0.4 * _FAR_LINE * tiles)
    parts = work.blocks if tile.parallel == "panels" else tiles
    share = -(-parts // threads) / parts
    busy = max(product, far) if tiles == 1 else product + far
    return (busy + store) * share / (target.ghz * 1e9)


def window_seconds(
    layer: Layer, tile: WindowTile, nbytes: int, target: Target, threads: int = 1
) -> float:
    """Predict the time of a linear kernel whose lanes select their inputs.

    Fitted to 90 measured kernels (AMD Zen 5, AVX-512 and AVX2, BERT layers at 2:4, 1:4 and 1:8):
    mean error 8 %, median 5 %.

    Parameters
    ----------
    layer, tile
        The kernel.
    nbytes : int
        Bytes of weights and indices.
    target, threads
        As in `tile_seconds`.
    """
    vectors, rows = tile.filters // tile.lanes, tile.rows
    tiles, panels = -(-layer.positions // rows), -(-layer.filters // tile.filters)
    windows = -(-layer.channels // (tile.lanes * tile.step)) * tile.step
    slot = max(rows * vectors * _SELECTED / target.fma_per_cycle + vectors * _SLOT, _LATENCY)
    product = tiles * panels * windows * (tile.slots * slot + rows * _WINDOW)
    store = layer.positions * -(-layer.filters // tile.lanes) * _STORE
    image = layer.positions * layer.channels * 4
    far = panels * image / target.line * _FAR_WINDOW if image > 0.75 * target.l2 else 0.0
    lines = nbytes / target.line
    if nbytes > 0.75 * target.l2 and tiles > 1:
        far += lines * _FAR_LINE
    parts = panels if tile.parallel == "panels" else tiles
    share = -(-parts // threads) / parts
    busy = max(product, lines * _WEIGHT_LINE) if tiles == 1 else product
    return (busy + far + store) * share / (target.ghz * 1e9)


def _product(plane: Plane, tile: Tile, work: Work, target: Target) -> float:
    """Return the cycles of a product, with sums and stores."""
    layer, split = plane.layer, work.filters / tile.filters
    tiles = plane.all_tiles
    parts = tile.parts(plane.length)
    tap = sum(number * _tap(plane, tile, part, target) for part, number in parts)
    sums = tiles * plane.length / tile.lanes * work.blocks * work.filters * _SUM
    sums *= 1 - tile.direct
    store = layer.positions * layer.filters / tile.lanes * (_DIRECT if tile.direct else _STORE)
    return tiles * work.taps * split * tap + sums + store


def _tap(plane: Plane, tile: Tile, part: tuple[int, int], target: Target) -> float:
    """Return the cycles of one tap of one register tile."""
    layer, filters, (vectors, tail) = plane.layer, tile.filters, part
    broadcasts = filters % target.by_element if target.by_element else 0
    multiply = (filters * vectors + tail + broadcasts) / target.fma_per_cycle
    aligned = 1.0 if plane.flat else 2.0
    load = (filters + vectors * aligned + tail + bool(tail)) / target.loads_per_cycle
    span = vectors * tile.lanes + (0 if plane.flat else 2 * plane.reach[0] * tile.lanes)
    far = span * layer.channels * 4 > L1_SHARE * target.l1
    draw = vectors * tile.lanes * 4 / _L2_BYTES if far else 0.0
    return max(multiply, load, draw, _LATENCY) + max(_TAP, target.tap)


def _far_lines(plane: Plane, tile: Tile, target: Target) -> float:
    """Return the cache lines of input and output that come from, or go, beyond L2."""
    layer = plane.layer
    image = (layer.positions * layer.filters / tile.word + _inputs(plane)) * 4
    return image / target.line if image > 0.75 * target.l2 else 0.0


def _weight_passes(plane: Plane, tile: Tile, work: Work, target: Target) -> float:
    """Return the seconds for which weights beyond L2 hold up the product.

    Every tile streams all weights; within a tile, a chunk of them stays in L2.
    """
    if work.nbytes <= 0.75 * target.l2:
        return 0.0
    across = sum(number for _, number in tile.parts(plane.length))
    passes = plane.tiles * (1.0 if tile.chunk else across)
    return _EXPOSED * passes * work.nbytes / (target.gbytes * 1e9)


def _inputs(plane: Plane) -> int:
    layer = plane.layer
    if layer.op == "linear":
        return layer.positions * layer.channels
    return layer.input[0] * layer.input[1] * layer.input[2] * layer.channels


def _kind(plane: Plane) -> str:
    if plane.in_place:
        return "in place"
    if plane.layer.op == "linear":
        return "linear"
    if plane.flat:
        return "flat"
    return "rows" if plane.layer.stride == (1, 1) else "phases"
