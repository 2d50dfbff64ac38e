# mypy: ignore-errors
"""Convolution and linear layers whose output positions stand in vector lanes.

Three blocks a kernel::

    pack     the input of a tile, see `tvm_sparse.plane`
    product  A[tile, row, lane] = Σ over taps: weight × packed[offset of the tap + lane]
    store    Y[position] = A[its tile, its row, its lane]

A linear layer is the same kernel: its features are channels, its rows are positions. Its input and
output are transposed, (features, rows).
"""

from tvm.script import tirx as T

from tvm_sparse.algorithms.multiply import grid, multiplying
from tvm_sparse.algorithms.pack import packing
from tvm_sparse.algorithms.read import reading
from tvm_sparse.algorithms.slices import slicing
from tvm_sparse.algorithms.store import storing
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.rows import RowBlocks
from tvm_sparse.tile import Tile


def sparse(layer: Layer, plane: Plane, tile: Tile, rows: RowBlocks):
    """Return the algorithm over row blocks.

    Parameters
    ----------
    layer, plane, tile
        What to compute, how its input is packed, and how its loops are cut.
    rows : RowBlocks
        The weights; only their sizes and their order matter here.

    Returns
    -------
    PrimFunc
        Of (X, values (taps, P) float32, offset (taps,) int32, ptr (blocks + 1,) int64, Y); when
        the rows are not in filter order, of (…, ptr, row (F,) int32, Y). With S slices, ptr is
        (S * blocks + 1,).
    """
    x_shape, y_shape = shapes(layer)
    block, lists, taps = T.int64(rows.filters), T.int64(len(rows.ptr)), T.int64(len(rows.taps))
    batch, tiles, groups = grid(layer, plane)
    number, lanes = T.int64(rows.filters * rows.blocks), T.int64(tile.span(plane.length))
    group_rows, space = number // layer.groups, T.int64(layer.weight[1] * plane.channel)
    product = multiplying if rows.slices == 1 else slicing
    pack, multiply = packing(layer, plane), product(layer, plane, tile, rows)
    in_order = rows.in_order(layer.filters)
    store = storing(layer, plane, int(group_rows) if in_order else 0)

    @T.macro
    def body(X, values, offset, ptr, row, Y):
        A = T.sblock_alloc_buffer((batch, tiles, number, lanes))
        if plane.in_place:
            multiply(A, X, values, offset, ptr)
        else:
            packed = T.sblock_alloc_buffer((batch, tiles, groups, space))
            pack(X, packed)
            multiply(A, packed, values, offset, ptr)
        store(A, Y, row)

    if in_order:

        @T.prim_func(s_tir=True, private=True)
        def sparse_product(
            X: T.Buffer(x_shape, "float32"),
            values: T.Buffer((taps, block), "float32"),
            offset: T.Buffer((taps,), "int32"),
            ptr: T.Buffer((lists,), "int64"),
            Y: T.Buffer(y_shape, "float32"),
        ):
            T.func_attr({"tirx.noalias": True, "op_pattern": 4})
            body(X, values, offset, ptr, None, Y)

        return sparse_product

    @T.prim_func(s_tir=True, private=True)
    def reordered_product(
        X: T.Buffer(x_shape, "float32"),
        values: T.Buffer((taps, block), "float32"),
        offset: T.Buffer((taps,), "int32"),
        ptr: T.Buffer((lists,), "int64"),
        row: T.Buffer((T.int64(layer.filters),), "int32"),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        body(X, values, offset, ptr, row, Y)

    return reordered_product


def dense(layer: Layer, plane: Plane, tile: Tile, window: Layer | None = None):
    """Return the algorithm over all taps of every filter; with a window, of max pooling after it.

    Returns
    -------
    PrimFunc
        Of (X, values (rows / tile.filters, taps, tile.filters) float32, offset (taps,) int32, Y).
        Each group's filters are filled up to a multiple of `tile.filters`. A kernel that works
        channel by channel knows its offsets and has no such argument.
    """
    x_shape, y_shape = shapes(layer)
    batch, tiles, groups = grid(layer, plane)
    block, taps = T.int64(tile.filters), T.int64(layer.taps)
    group_rows = -(-layer.filters // layer.groups // tile.filters) * tile.filters
    number, lanes = T.int64(group_rows * layer.groups), T.int64(tile.span(plane.length))
    space = T.int64(layer.weight[1] * plane.channel)
    pack, attrs = packing(layer, plane), tile.annotation
    store = storing(layer, plane, group_rows, window)
    if window is not None:
        y_shape = shapes(window)[1]
    read, region = reading(layer, plane)

    def offset_of(offset, k):
        return plane.offset_of(k) if offset is None else T.Cast("int64", offset[k])

    @T.macro
    def multiply(source, values, offset, A):
        for b, t, o, i, k in T.grid(batch, tiles, number, lanes, taps):
            with T.sblock("product"):
                vb, vt, vo, vi, vk = T.axis.remap("SSSSR", [b, t, o, i, k])
                T.reads(
                    region(source, vb, vt, vo // group_rows), values[vo // block, vk, vo % block]
                )
                T.writes(A[vb, vt, vo, vi])
                T.sblock_attr({"tvm_sparse.tile": attrs})
                with T.init():
                    A[vb, vt, vo, vi] = T.float32(0)
                A[vb, vt, vo, vi] = A[vb, vt, vo, vi] + values[vo // block, vk, vo % block] * read(
                    source, vb, vt, vo // group_rows, offset_of(offset, vk), plane.start_of(vi)
                )

    @T.macro
    def body(X, values, offset, Y):
        A = T.sblock_alloc_buffer((batch, tiles, number, lanes))
        if plane.in_place:
            multiply(X, values, offset, A)
        else:
            packed = T.sblock_alloc_buffer((batch, tiles, groups, space))
            pack(X, packed)
            multiply(packed, values, offset, A)
        store(A, Y, None)

    if tile.parallel == "channels":

        @T.prim_func(s_tir=True, private=True)
        def depthwise_product(
            X: T.Buffer(x_shape, "float32"),
            values: T.Buffer((number // block, taps, block), "float32"),
            Y: T.Buffer(y_shape, "float32"),
        ):
            T.func_attr({"tirx.noalias": True, "op_pattern": 4})
            body(X, values, None, Y)

        return depthwise_product

    @T.prim_func(s_tir=True, private=True)
    def dense_product(
        X: T.Buffer(x_shape, "float32"),
        values: T.Buffer((number // block, taps, block), "float32"),
        offset: T.Buffer((taps,), "int32"),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        body(X, values, offset, Y)

    return dense_product


def shapes(layer: Layer):
    """Return the shapes of a layer's input and output."""
    if layer.op == "linear":
        rows = T.int64(layer.positions)
        return (T.int64(layer.channels), rows), (T.int64(layer.filters), rows)
    batch, height, width = layer.input
    x = (batch, layer.channels, height, width)
    y = (batch, layer.filters, *layer.output[1:])
    return tuple(T.int64(v) for v in x), tuple(T.int64(v) for v in y)
