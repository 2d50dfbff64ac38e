"""Linear kernels whose vector lanes select their inputs, see `tvm_sparse.windows`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import TYPE_CHECKING

from tvm_sparse import cost, windows
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.tile import WindowTile

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

_ROWS, _VECTORS = 14, 3  # of the largest register tile to try
_CHANNELS = 1 << windows.BITS  # of the widest window that indices reach


def best(layer: Layer, slots: int, target: Target) -> Kernel | None:
    """Return the best kernel of `slots` weights a window, or None where there is none.

    None if the layer is no linear one, has fewer channels than a window, or if the target has no
    permutation that is steered by a vector.
    """
    steps = (max(windows.PER_WORD // slots, 1),)
    return min(kernels(layer, slots, target, steps), key=lambda k: k.seconds, default=None)


def kernels(layer: Layer, slots: int, target: Target, steps: Iterable[int]) -> Iterator[Kernel]:
    """Yield the kernels that fit registers, of so many windows a step; none as `best` says."""
    if layer.op != "linear" or not target.permute or target.lanes > _CHANNELS:
        return
    if layer.channels < target.lanes:
        return
    for step, vectors in product(steps, range(1, _VECTORS + 1)):
        for rows in range(1, min(layer.positions, _ROWS) + 1):
            if _fits(rows, vectors, target):
                yield kernel_of(layer, _tile(layer, slots, rows, vectors, step, target), target)


def kernel_of(layer: Layer, tile: WindowTile, target: Target) -> Kernel:
    """Return the kernel of a tile."""
    seconds = cost.window_seconds(layer, tile, _nbytes(layer, tile), target, target.cores)
    return Kernel(tile=tile, plane=None, seconds=seconds)


def _fits(rows: int, vectors: int, target: Target) -> bool:
    """Whether sums, the windows of all rows, indices, a weight and a selection fit registers."""
    return rows * vectors + rows + vectors + 2 < target.registers


def _tile(
    layer: Layer, slots: int, rows: int, vectors: int, step: int, target: Target
) -> WindowTile:
    filters = vectors * target.lanes
    panels = -(-layer.filters // filters)
    return WindowTile(
        filters=filters,
        rows=rows,
        lanes=target.lanes,
        parallel="panels" if panels >= target.cores else "rows",
        slots=slots,
        step=step,
        permute=target.permute,
    )


def _nbytes(layer: Layer, tile: WindowTile) -> int:
    """Return the bytes of weights and indices."""
    rows = -(-layer.filters // tile.filters) * tile.filters
    steps = -(-layer.channels // (tile.lanes * tile.step))
    number = tile.slots * tile.step
    return 4 * rows * steps * (number + -(-number // windows.PER_WORD))
