# mypy: ignore-errors
"""Convolution and linear layers whose output positions stand in vector lanes.

Three blocks a kernel::

    pack     the input of a tile, see `tvm_sparse.plane`
    product  A[tile, row, lane] = Σ over taps: weight × packed[offset of the tap + lane]
    store    Y[position] = A[its tile, its row, its lane]

A linear layer is the same kernel: its features are channels, its rows are positions.
"""

from tvm.script import tirx as T

from tvm_sparse.algorithms.pack import packing
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.tile import Tile


def sparse(layer: Layer, plane: Plane, tile: Tile, *, block: int, taps: int, longest: int):
    """Return the algorithm over row blocks.

    Parameters
    ----------
    layer, plane, tile
        What to compute, how its input is packed, and how its loops are cut.
    block : int
        Filters that share a list of taps (`RowBlocks.filters`).
    taps : int
        Stored taps, `len(RowBlocks.taps)`.
    longest : int
        Taps of the longest block.

    Returns
    -------
    PrimFunc
        Of (X, values (taps, block) float32, offset (taps,) int32, ptr (blocks + 1,) int64, Y).
        Filters stand in row order.
    """
    x_shape, y_shape = _shapes(layer)
    batch, tiles, groups = T.int64(_batch(layer)), T.int64(plane.tiles), T.int64(layer.groups)
    group_rows = -(-layer.filters // layer.groups // block) * block
    rows = T.int64(group_rows * layer.groups)
    blocks, lanes, longest = rows // block, T.int64(plane.length), T.int64(longest)
    space = T.int64(layer.weight[1] * plane.channel)
    pack, store = packing(layer, plane), storing(layer, plane, group_rows)
    taps, block = T.int64(taps), T.int64(block)
    attrs = tile.annotation

    @T.prim_func(s_tir=True, private=True)
    def sparse_product(
        X: T.Buffer(x_shape, "float32"),
        values: T.Buffer((taps, block), "float32"),
        offset: T.Buffer((taps,), "int32"),
        ptr: T.Buffer((blocks + 1,), "int64"),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        packed = T.sblock_alloc_buffer((batch, tiles, groups, space))
        A = T.sblock_alloc_buffer((batch, tiles, rows, lanes))
        pack(X, packed)
        for b, t, o, i, k in T.grid(batch, tiles, rows, lanes, longest):
            with T.sblock("product"):
                vb, vt, vo, vi, vk = T.axis.remap("SSSSR", [b, t, o, i, k])
                T.reads(
                    packed[vb, vt, vo // group_rows, 0:space],
                    values[0:taps, vo % block], offset[0:taps], ptr[0 : blocks + 1],
                )  # fmt: skip
                T.writes(A[vb, vt, vo, vi])
                T.sblock_attr({"tvm_sparse.tile": attrs})
                with T.init():
                    A[vb, vt, vo, vi] = T.float32(0)
                if vk < ptr[vo // block + 1] - ptr[vo // block]:
                    A[vb, vt, vo, vi] = (
                        A[vb, vt, vo, vi]
                        + values[ptr[vo // block] + vk, vo % block]
                        * packed[
                            vb, vt, vo // group_rows,
                            T.Cast("int64", offset[ptr[vo // block] + vk]) + vi,
                        ]  # fmt: skip
                    )
        store(A, Y)

    return sparse_product


def dense(layer: Layer, plane: Plane, tile: Tile):
    """Return the algorithm over all taps of every filter.

    Returns
    -------
    PrimFunc
        Of (X, values (rows / tile.filters, taps, tile.filters) float32, offset (taps,) int32, Y).
    """
    x_shape, y_shape = _shapes(layer)
    batch, tiles, groups = T.int64(_batch(layer)), T.int64(plane.tiles), T.int64(layer.groups)
    block, taps = T.int64(tile.filters), T.int64(layer.taps)
    group_rows = -(-layer.filters // layer.groups // tile.filters) * tile.filters
    rows, lanes = T.int64(group_rows * layer.groups), T.int64(plane.length)
    space = T.int64(layer.weight[1] * plane.channel)
    pack, store = packing(layer, plane), storing(layer, plane, group_rows)
    attrs = tile.annotation

    @T.prim_func(s_tir=True, private=True)
    def dense_product(
        X: T.Buffer(x_shape, "float32"),
        values: T.Buffer((rows // block, taps, block), "float32"),
        offset: T.Buffer((taps,), "int32"),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        packed = T.sblock_alloc_buffer((batch, tiles, groups, space))
        A = T.sblock_alloc_buffer((batch, tiles, rows, lanes))
        pack(X, packed)
        for b, t, o, i, k in T.grid(batch, tiles, rows, lanes, taps):
            with T.sblock("product"):
                vb, vt, vo, vi, vk = T.axis.remap("SSSSR", [b, t, o, i, k])
                T.reads(
                    packed[vb, vt, vo // group_rows, 0:space],
                    values[vo // block, vk, vo % block], offset[0:taps],
                )  # fmt: skip
                T.writes(A[vb, vt, vo, vi])
                T.sblock_attr({"tvm_sparse.tile": attrs})
                with T.init():
                    A[vb, vt, vo, vi] = T.float32(0)
                A[vb, vt, vo, vi] = (
                    A[vb, vt, vo, vi]
                    + values[vo // block, vk, vo % block]
                    * packed[vb, vt, vo // group_rows, T.Cast("int64", offset[vk]) + vi]
                )
        store(A, Y)

    return dense_product


def storing(layer: Layer, plane: Plane, group_rows: int):
    """Return the macro ``store(A, Y)``: positions and filters out of tiles, lanes and rows."""
    group = layer.filters // layer.groups

    def row_of(o):
        return o if group == group_rows else o // group * group_rows + o % group

    if layer.op == "linear":
        return _store_linear(layer, plane)
    batch, height, width = (T.int64(v) for v in layer.output)
    filters = T.int64(layer.filters)

    @T.macro
    def store(A, Y):
        for b, o, y, x in T.grid(batch, filters, height, width):
            with T.sblock("store"):
                vb, vo, vy, vx = T.axis.remap("SSSS", [b, o, y, x])
                Y[vb, vo, vy, vx] = A[
                    vb, plane.tile_of(vy, vx), row_of(vo), plane.lane_of(vy, vx)
                ]  # fmt: skip

    return store


def _store_linear(layer, plane):
    filters = T.int64(layer.filters)
    lead = [T.int64(v) for v in layer.input]

    if len(lead) == 1:

        @T.macro
        def store(A, Y):
            for x, o in T.grid(lead[0], filters):
                with T.sblock("store"):
                    vx, vo = T.axis.remap("SS", [x, o])
                    Y[vx, vo] = A[0, plane.tile_of(0, vx), vo, plane.lane_of(0, vx)]

        return store

    @T.macro
    def store_nested(A, Y):
        for y, x, o in T.grid(lead[0], lead[1], filters):
            with T.sblock("store"):
                vy, vx, vo = T.axis.remap("SSS", [y, x, o])
                Y[vy, vx, vo] = A[0, plane.tile_of(vy, vx), vo, plane.lane_of(vy, vx)]

    return store_nested


def _batch(layer):
    return 1 if layer.op == "linear" else layer.input[0]


def _shapes(layer):
    if layer.op == "linear":
        lead = tuple(T.int64(v) for v in layer.input)
        return (*lead, T.int64(layer.channels)), (*lead, T.int64(layer.filters))
    batch, height, width = layer.input
    x = (batch, layer.channels, height, width)
    y = (batch, layer.filters, *layer.output[1:])
    return tuple(T.int64(v) for v in x), tuple(T.int64(v) for v in y)
