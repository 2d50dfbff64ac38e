"""Turn a choice into a TIR function and the constants that it reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import tirx

from tvm_sparse import shares, windows
from tvm_sparse.algorithms import filters, parts, patterns, pool2d, positions
from tvm_sparse.algorithms import windows as window_algorithm
from tvm_sparse.choose import Choice, row_blocks, split_up
from tvm_sparse.dot import Dot
from tvm_sparse.formats.pattern import FORMAT, KernelPatterns
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.rows import RowBlocks, from_matrix
from tvm_sparse.slices import in_slices
from tvm_sparse.spread import spread
from tvm_sparse.tile import PanelTile, Tile, WindowTile

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Implementation:
    """A layer's algorithm, bound to its weights.

    Parameters
    ----------
    func : PrimFunc
        Of (X, *constants, Y).
    name : str
        What the function is called in a module.
    constants : tuple of arrays
        Packed weights and indices.
    """

    func: tirx.PrimFunc
    name: str
    constants: tuple[Array, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the constants."""
        return sum(array.nbytes for array in self.constants)


def chosen(choice: Choice, weight: Weight) -> Implementation:
    """Return the implementation of a choice for a weight of its layer."""
    if choice.is_sparse:
        return sparse(choice, weight)
    return dense(choice.layer, choice.kernel, weight)


def sparse(choice: Choice, weight: Weight) -> Implementation:
    """Return the implementation of a sparse choice for a weight of its layer."""
    layer, kernel = choice.layer, choice.kernel
    if kernel.rest is not None:
        return _two_parts(choice, kernel.rest, weight)
    if kernel.by_pattern:
        return _by_patterns(choice, weight)
    if isinstance(kernel.tile, WindowTile):
        return _by_windows(layer, kernel.tile, weight)
    rows = _never_empty(row_blocks(layer, weight, choice.used))
    if isinstance(kernel.tile, PanelTile):
        func = filters.sparse(layer, shares.panels(kernel.tile, rows.lengths), rows)
        return _bound(func, "sparse_linear", rows.values, rows.taps, rows.ptr)
    plane, tile = _placed(kernel)
    name = f"sparse_{layer.op}"
    row: list[Array] = []
    if not rows.in_order(layer.filters):
        rows, *row = _with_zero_row(rows, layer)
    tile = shares.chunks(tile, rows.lengths, rows.filters)
    rows = in_slices(spread(rows, layer), layer, tile.slice)
    func = positions.sparse(layer, plane, tile, rows)
    return _bound(func, name, rows.values, plane.offsets()[rows.taps], rows.ptr, *row)


def _by_windows(layer: Layer, tile: WindowTile, weight: Weight) -> Implementation:
    """Return the implementation whose lanes select their inputs."""
    packed = windows.pack(weight, tile)
    func = window_algorithm.sparse(layer, tile)
    return _bound(func, "sparse_linear", packed.values, packed.words)


def _by_patterns(choice: Choice, weight: Weight) -> Implementation:
    """Return the implementation that multiplies kernels pattern by pattern."""
    layer = choice.layer
    plane, tile = _placed(choice.kernel)
    found = _some_kernel(FORMAT.kernels(weight, choice.used.block))
    taps = plane.offsets()
    channel = (found.channel * plane.channel).astype(np.int32)
    tile = shares.chunks(tile, found.ptr[:, -1] - found.ptr[:, 0], 1)
    func = patterns.sparse(layer, plane, tile, found)
    arrays = (found.values, channel, found.ptr, taps[found.positions])
    return _bound(func, f"sparse_{layer.op}", *arrays)


def _some_kernel(found: KernelPatterns) -> KernelPatterns:
    """Give an all-zero weight one kernel that no list refers to: TIR has no empty buffers."""
    if len(found.channel):
        return found
    values = np.zeros((1, found.values.shape[1]), found.values.dtype)
    return replace(found, channel=np.zeros(1, np.int32), values=values)


def _two_parts(choice: Choice, tile: Tile, weight: Weight) -> Implementation:
    """Return the implementation of a core and a rest, whose rows stand in the core's order."""
    layer = choice.layer
    plane, core_tile = _placed(choice.kernel)
    split = split_up(layer, weight, choice.used)
    core = _never_empty(row_blocks(layer, split.core, choice.used, every=True))
    row: list[Array] = []
    if not core.in_order(layer.filters):
        core, *row = _with_zero_row(core, layer)
    single = split.rest.reshape(layer.filters, layer.taps)
    rest = _never_empty(from_matrix(single, single != 0, 1, core.order))
    rest = replace(rest, groups=layer.groups)
    strays = rest.lengths.reshape(core.blocks, core.filters).sum(axis=1) // core.filters
    core_tile = shares.chunks(core_tile, core.lengths + strays, core.filters)
    core = spread(core, layer)
    tile = replace(tile, chunk=core_tile.chunk)
    func = parts.sparse(layer, plane, (core_tile, tile), core, rest)
    offsets = plane.offsets()
    arrays = [a for rows in (core, rest) for a in (rows.values, offsets[rows.taps], rows.ptr)]
    return _bound(func, f"sparse_{layer.op}", *arrays, *row)


def dense(
    layer: Layer, kernel: Kernel, weight: Weight, window: Layer | None = None
) -> Implementation:
    """Return the implementation that multiplies every weight; with a window, pooling after it."""
    tile = kernel.tile
    group = layer.filters // layer.groups
    rows = -(-group // tile.filters) * tile.filters
    filled = np.zeros((layer.groups, rows, layer.taps), weight.dtype)
    filled[:, :group] = weight.reshape(layer.groups, group, layer.taps)
    panels = filled.reshape(-1, tile.filters, layer.taps).transpose(0, 2, 1)
    values = np.ascontiguousarray(panels)
    if isinstance(tile, PanelTile):
        return _bound(filters.dense(layer, tile), "dense_linear", values)
    plane, tile = _placed(kernel)
    func = positions.dense(layer, plane, tile, window)
    if tile.parallel == "channels":
        return _bound(func, f"dense_{layer.op}", values)
    name = f"dense_{layer.op}" if window is None else f"dense_{layer.op}_max_pool"
    return _bound(func, name, values, plane.offsets())


def max_pool(window: Layer, kernel: Kernel, words: Dot | None = None) -> Implementation:
    """Return max pooling over a window, given as a depthwise layer, of floats or of words."""
    plane, tile = _placed(kernel)
    if words is not None:
        return _bound(pool2d.words_maximum(window, plane, tile, words), "max_pool")
    return _bound(pool2d.maximum(window, plane, tile), "max_pool")


def average_pool(window: Layer, kernel: Kernel, share: Array) -> Implementation:
    """Return average pooling; `share` (Ho, Wo) is one over the inputs that count."""
    plane, tile = _placed(kernel)
    func = pool2d.average(window, plane, tile)
    return _bound(func, "average_pool", share)


def _bound(func: tirx.PrimFunc, name: str, *constants: Array) -> Implementation:
    return Implementation(func=func, name=name, constants=constants)


def _placed(kernel: Kernel) -> tuple[Plane, Tile]:
    assert isinstance(kernel.tile, Tile) and kernel.plane is not None
    return kernel.plane, kernel.tile


def _never_empty(rows: RowBlocks) -> RowBlocks:
    """Give an all-zero weight one tap that no block refers to: TIR has no empty buffers."""
    if len(rows.taps):
        return rows
    values = np.zeros((1, rows.filters), rows.values.dtype)
    return replace(rows, taps=np.zeros(1, np.int32), values=values)


def _with_zero_row(rows: RowBlocks, layer: Layer) -> tuple[RowBlocks, npt.NDArray[np.int32]]:
    """End every group with a block without taps, and return the row of each filter.

    Filters that were removed read a row of that block: zeros.
    """
    ends = rows.ptr[1:].reshape(layer.groups, rows.blocks // layer.groups)
    last = ends[:, -1:] if rows.blocks else np.zeros((layer.groups, 1), np.int64)
    ends = np.concatenate([ends, last], axis=1)
    groups = rows.order.reshape(layer.groups, len(rows.order) // layer.groups)
    order = np.pad(groups, ((0, 0), (0, rows.filters)), constant_values=-1).reshape(-1)
    row = np.full(layer.filters, len(order) - 1, np.int32)
    kept = np.nonzero(order >= 0)[0]
    row[order[kept]] = kept
    ptr = np.concatenate([rows.ptr[:1], ends.reshape(-1)])
    return replace(rows, ptr=ptr, order=order), row
