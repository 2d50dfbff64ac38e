"""The kernels with tiles of AMX, and the cuts that the cost formula likes best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tvm_sparse import amx, amx_cost, kernel, words
from tvm_sparse.amx import SIDE, AmxPanelTile, AmxTile
from tvm_sparse.cost import Work
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.rows import RowBlocks
from tvm_sparse.tilings import tilings

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

# Tiles of filters and of positions whose sums fit the registers, beside the tiles they read.
_CUTS = ((1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (2, 1), (2, 2))
_PANELS = ((1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (1, 2), (2, 2), (1, 4))  # rows, filters
Array = npt.NDArray[Any]


def suits(layer: Layer, target: Target) -> bool:
    """Whether a target has tiles, and a layer channels to fill them with."""
    return target.tile_cycles > 0 and not layer.depthwise


def ways(
    layer: Layer, packed: Array, keep: npt.NDArray[np.bool_], word: int, target: Target
) -> Iterator[tuple[RowBlocks, Kernel]]:
    """Yield the best kernel for each number of filters that share their tiles.

    Parameters
    ----------
    layer : Layer
        Over channels.
    packed, keep : arrays of the weight's shape in words
        The words, and which of them are stored.
    word : int
        Rows whose results are stored together, see `Tile`.
    target : Target
    """
    over_words = words.word_layer(layer)
    for filters in sorted({SIDE * rows for rows, _ in _CUTS}):
        rows = amx.row_blocks(over_words, packed, keep, filters)
        yield rows, best(over_words, work_of(rows), word, target)


def panels(
    layer: Layer, packed: Array, keep: npt.NDArray[np.bool_], target: Target
) -> Iterator[tuple[RowBlocks, Kernel]]:
    """Yield kernels over pairs of bfloat16; parameters as `ways`, but the layer is over words."""
    for filters in sorted({SIDE * vectors for _, vectors in _PANELS}):
        rows = amx.row_blocks(layer, packed, keep, filters)
        work = work_of(rows)
        across = [number for number, vectors in _PANELS if SIDE * vectors == filters]
        found = [_panel(layer, work, SIDE * number, target) for number in across]
        yield rows, min(found, key=lambda kernel: kernel.seconds)


def _panel(layer: Layer, work: Work, rows: int, target: Target) -> Kernel:
    by_panels = work.blocks >= target.cores
    tile = AmxPanelTile(
        filters=work.filters,
        rows=rows,
        lanes=SIDE,
        parallel="panels" if by_panels else "rows",
        threads=target.cores if by_panels else 1,
    )
    seconds = amx_cost.panel_seconds(layer, tile, work, target, target.cores)
    return Kernel(tile=tile, plane=None, seconds=seconds)


def work_of(rows: RowBlocks) -> Work:
    """Return what a kernel over row blocks of tiles multiplies."""
    return Work(blocks=rows.blocks, taps=len(rows.taps), filters=rows.filters)


def best(layer: Layer, work: Work, word: int, target: Target) -> Kernel:
    """Return the best kernel over tiles; `layer` is over words, the taps of `work` are tiles."""
    across = (vectors for number, vectors in _CUTS if number * SIDE == work.filters)
    found = [
        _kernel(plane, work, vectors, word, target)
        for vectors in across
        for plane in _planes(layer, vectors, target)
    ]
    return min(found, key=lambda kernel: kernel.seconds)


def _planes(layer: Layer, vectors: int, target: Target) -> Iterator[Plane]:
    """Yield the tilings whose positions fill register tiles of so many tiles."""
    for plane in tilings(layer, replace(target, bits=32 * vectors * SIDE)):
        if not (plane.in_place and layer.weight[1] % SIDE):
            yield plane


def _kernel(plane: Plane, work: Work, vectors: int, word: int, target: Target) -> Kernel:
    cuts = kernel.tile_of(plane, work, work.filters, vectors, target)
    tile = AmxTile(**vars(replace(cuts, last=vectors, tail=0, direct=0, word=word)))
    seconds = amx_cost.seconds(plane, tile, work, target, target.cores)
    return Kernel(tile=tile, plane=plane, seconds=seconds)
