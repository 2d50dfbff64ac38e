"""The kernels of an integer layer, and the tile that the cost formula likes best.

They are those of floats with positions in lanes, over words of four channels. Register tiles have
so many filters that their results are whole words. Filters never stand in lanes, not even for the
last few positions.

The formula for floats holds for them (AMD Zen 5, AVX-512 VNNI, one thread). Of 194 kernels for 18
layers of ResNet-50, MobileNetV2 and BERT, with no zeros and with 80 and 90 % in blocks of 4 × 4, it
told the times of one layer's kernels relative to each other with a mean error of 5 %. The chosen
ones took 0.9 % longer than the fastest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tvm_sparse import cost, kernel
from tvm_sparse.cost import Work
from tvm_sparse.kernel import CHUNK, Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.tile import Tile
from tvm_sparse.tilings import tilings

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

ROWS = (8, 4)  # filters of a register tile
_SUMS = 16  # vectors of a register tile that leave room for what is shuffled, where taps are paired
_TURNS = 2  # how often a vector of sums is shuffled, where taps are paired


def best(layer: Layer, work: Work, word: int, target: Target) -> Kernel:
    """Return the kernel that the cost formula likes best.

    Parameters
    ----------
    layer : Layer
        Over words, see `tvm_sparse.words.word_layer`.
    work : Work
        What it multiplies: words are its weights.
    word : int
        Filters whose results are stored together: 4 where these are bytes, else 1.
    target : Target
    """
    found = [
        kernel_of(plane, tile_of(plane, work, filters, vectors, word, target), work, target)
        for filters, vectors in register_tiles(work.filters, target)
        for plane in tilings(layer, target)
    ]
    return min(found, key=lambda kernel: kernel.seconds)


def kernel_of(plane: Plane, tile: Tile, work: Work, target: Target) -> Kernel:
    """Return a kernel with its predicted time."""
    return Kernel(tile=tile, plane=plane, seconds=seconds(plane, tile, work, target))


def seconds(plane: Plane, tile: Tile, work: Work, target: Target) -> float:
    """Predict the time of a kernel, with as many threads as the target has cores."""
    if not tile.paired:
        return cost.tile_seconds(plane, tile, work, target, target.cores)
    return _paired_seconds(plane, tile, work, target)


def _paired_seconds(plane: Plane, tile: Tile, work: Work, target: Target) -> float:
    """Predict the time of half as many taps, each with inputs and weights that are shuffled."""
    products, inputs, weights = tile.filters * tile.vectors, 2 * tile.vectors, tile.filters / 2
    share = products / (products + inputs + weights)
    half = replace(work, taps=-(-work.taps // 2))
    each = replace(target, fma_per_cycle=share * target.fma_per_cycle, gbytes=target.gbytes / 2)
    sums = work.blocks * work.filters * plane.all_tiles * tile.span(plane.length) / tile.lanes
    turning = _TURNS * sums / (target.fma_per_cycle * target.ghz * 1e9) / target.cores
    return cost.tile_seconds(plane, tile, half, each, target.cores) + turning


def register_tiles(
    filters: int, target: Target, rows: tuple[int, ...] = ROWS
) -> Iterator[tuple[int, int]]:
    """Yield the (filters, vectors) that fit the registers.

    Products that are added in 16 bits first take some of these.
    """
    narrow = target.dot.narrow
    room = replace(target, registers=target.registers * 3 // 4) if narrow else target
    return kernel.register_tiles(filters, room, rows)


def tile_of(
    plane: Plane,
    work: Work,
    filters: int,
    vectors: int,
    word: int,
    target: Target,
    chunk: int = CHUNK,
    by_tiles: bool | None = None,
) -> Tile:
    """Return the cuts around a register tile; see `tvm_sparse.kernel.tile_of`.

    Taps are paired where the target multiplies matrices, if they are many enough to pay for it.
    """
    tile = kernel.tile_of(plane, work, filters, vectors, target, chunk, by_tiles)
    tile = replace(tile, tail=0, word=word)
    if not target.has_matrices or filters * tile.vectors > _SUMS:
        return tile
    return min((tile, replace(tile, paired=1)), key=lambda t: seconds(plane, t, work, target))
