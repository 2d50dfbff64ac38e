# mypy: ignore-errors
"""Convolution and linear layers for GPUs: a tile of positions a workgroup.

Three blocks a kernel::

    stage    the input of a tile, chunk by chunk of channels, see `tvm_sparse.workgroup`
    product  A[tile, row, lane] = Σ over chunks and taps: weight × staged[offset of the tap + lane]
    store    Y[position] = A[its tile, its row, its lane]
"""

from tvm.script import tirx as T

from tvm_sparse.algorithms.staging import sizes, staging
from tvm_sparse.chunked import Chunked
from tvm_sparse.layer import Layer
from tvm_sparse.workgroup import Workgroup

KEY = "tvm_sparse.workgroup"


def product(layer: Layer, tile: Workgroup, weight: Chunked):
    """Return the algorithm over row blocks.

    Parameters
    ----------
    layer : Layer
        Whose type is float32 or float16; sums are float32.
    tile : Workgroup
    weight : Chunked
        Only its sizes matter here.

    Returns
    -------
    PrimFunc
        Of (X, values (taps, P), offset (taps,) int32, ptr (blocks * chunks + 1,) int32, Y),
        with (2, F) int32 before Y if rows stand in another order: the row of each filter, and the
        filter of each row.
        X and Y have the shapes of the operator's input and output.
    """
    x_shape, y_shape = shapes(layer)
    taps, block, parts = (T.int64(n) for n in (*weight.values.shape, len(weight.ptr) - 1))
    batch, down, across, chunks, space = sizes(layer, tile)
    rows, lanes, dtype = T.int64(weight.rows(layer, tile)), T.int64(tile.positions), layer.dtype
    stage = staging(layer, tile, T.Cast(dtype, T.float32(0)))
    multiply = _multiplying(layer, tile, weight)
    store = (_store_matrix if layer.op == "linear" else _store_image)(layer, tile)

    filters = T.int64(layer.filters)

    @T.macro
    def body(X, values, offset, ptr, rows_of, Y):
        S = T.sblock_alloc_buffer((batch, down, across, chunks, space), dtype)
        A = T.sblock_alloc_buffer((batch, down, across, rows, lanes), "float32")
        stage(X, S)
        multiply(A, S, values, offset, ptr)
        store(A, rows_of, Y)

    if weight.order is None:

        @T.prim_func(s_tir=True, private=True)
        def sparse_product(
            X: T.Buffer(x_shape, dtype),
            values: T.Buffer((taps, block), dtype),
            offset: T.Buffer((taps,), "int32"),
            ptr: T.Buffer((parts + 1,), "int32"),
            Y: T.Buffer(y_shape, dtype),
        ):
            T.func_attr({"tirx.noalias": True, "op_pattern": 4})
            body(X, values, offset, ptr, None, Y)

        return sparse_product

    @T.prim_func(s_tir=True, private=True)
    def sparse_product_of_rows(
        X: T.Buffer(x_shape, dtype),
        values: T.Buffer((taps, block), dtype),
        offset: T.Buffer((taps,), "int32"),
        ptr: T.Buffer((parts + 1,), "int32"),
        rows_of: T.Buffer((2, filters), "int32"),
        Y: T.Buffer(y_shape, dtype),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        body(X, values, offset, ptr, rows_of, Y)

    return sparse_product_of_rows


def _row(rows_of, o):
    """Return the row of a filter."""
    return o if rows_of is None else T.Cast("int64", rows_of[0, o])


def shapes(layer: Layer):
    """Return the shapes of the operator's input and output."""
    if layer.op == "linear":
        found = (*layer.input, layer.channels), (*layer.output, layer.filters)
    else:
        batch, *size = layer.input
        found = (batch, layer.channels, *size), (batch, layer.filters, *layer.output[1:])
    return tuple(tuple(T.int64(n) for n in shape) for shape in found)


def chunk_of(layer: Layer, tile: Workgroup):
    """Return how a filter's chunk is numbered among those of all groups."""
    if layer.groups == 1:
        return lambda o, c: c
    filters, chunks = layer.filters // layer.groups, tile.chunks(layer)
    return lambda o, c: o // filters * chunks + c


def _multiplying(layer, tile, weight):
    """Return the macro ``multiply(A, S, values, offset, ptr)``."""
    batch, down, across, _, space = sizes(layer, tile)
    rows, lanes, chunks = weight.rows(layer, tile), tile.positions, T.int64(tile.chunks(layer))
    taps, block = (T.int64(n) for n in weight.values.shape)
    longest, attrs = T.int64(max(weight.longest, 1)), {KEY: annotation(layer, tile)}
    lane_of, of_filter = lane_offset(layer, tile), chunk_of(layer, tile)
    number = T.int64(len(weight.ptr) - 1)

    @T.macro
    def multiply(A, S, values, offset, ptr):
        for b, y, x, o, i, c, k in T.grid(batch, down, across, rows, lanes, chunks, longest):
            with T.sblock("product"):
                vb, vy, vx, vo, vi, vc, vk = T.axis.remap("SSSSSRR", [b, y, x, o, i, c, k])
                T.reads(
                    S[vb, vy, vx, of_filter(vo, vc), 0:space], values[0:taps, vo % block],
                    offset[0:taps], ptr[0 : number + 1],
                )  # fmt: skip
                T.writes(A[vb, vy, vx, vo, vi])
                T.sblock_attr(attrs)
                with T.init():
                    A[vb, vy, vx, vo, vi] = T.float32(0)
                if vk < T.Cast(
                    "int64", ptr[vo // block * chunks + vc + 1] - ptr[vo // block * chunks + vc]
                ):
                    A[vb, vy, vx, vo, vi] = A[vb, vy, vx, vo, vi] + T.Cast(
                        "float32",
                        values[T.Cast("int64", ptr[vo // block * chunks + vc]) + vk, vo % block],
                    ) * T.Cast(
                        "float32",
                        S[
                            vb, vy, vx, of_filter(vo, vc), lane_of(vi) + T.Cast(
                                "int64",
                                offset[T.Cast("int64", ptr[vo // block * chunks + vc]) + vk],
                            ),
                        ],
                    )  # fmt: skip

    return multiply


def annotation(layer: Layer, tile: Workgroup, turned: bool = False, word: int = 1):
    """Return what the schedule has to know.

    Parameters
    ----------
    layer, tile
    turned : bool
        Whether the outputs of a linear layer are (filters, rows).
    word : int
        Filters of an element of the output.
    """
    axes = 4 if layer.op == "conv2d" else 2 if turned else 1
    return {**tile.annotation, "axes": axes, "word": word}


def lane_offset(layer: Layer, tile: Workgroup):
    """Return how far a lane's input lies behind that of the tile's first position."""
    if layer.op == "linear":
        return lambda i: i * (tile.channels + 1)
    wide = tile.region(layer)[1]
    return lambda i: i // tile.width * (layer.stride[0] * wide) + i % tile.width * layer.stride[1]


def at_pixel(A, tile: Workgroup, b, o, y, x):
    """Return the sum of a filter at a position of an image."""
    lane = y % tile.height * tile.width + x % tile.width
    return A[b, y // tile.height, x // tile.width, o, lane]


def _store_image(layer, tile):
    batch, height, width = (T.int64(n) for n in layer.output)
    dtype, filters = layer.dtype, T.int64(layer.filters)

    @T.macro
    def store(A, rows_of, Y):
        for b, o, y, x in T.grid(batch, filters, height, width):
            with T.sblock("store"):
                vb, vo, vy, vx = T.axis.remap("SSSS", [b, o, y, x])
                Y[vb, vo, vy, vx] = T.Cast(dtype, at_pixel(A, tile, vb, _row(rows_of, vo), vy, vx))

    return store


def _store_matrix(layer, tile):
    filters, dtype = T.int64(layer.filters), layer.dtype
    leading = [T.int64(n) for n in layer.output]

    def lane(A, indices, o):
        row = indices[layer.output.index(layer.positions)]
        return T.Cast(dtype, A[0, 0, row // tile.width, o, row % tile.width])

    if len(leading) == 1:

        @T.macro
        def store(A, rows_of, Y):
            for x, o in T.grid(leading[0], filters):
                with T.sblock("store"):
                    vx, vo = T.axis.remap("SS", [x, o])
                    Y[vx, vo] = lane(A, (vx,), _row(rows_of, vo))

        return store

    @T.macro
    def store_nested(A, rows_of, Y):
        for y, x, o in T.grid(leading[0], leading[1], filters):
            with T.sblock("store"):
                vy, vx, vo = T.axis.remap("SSS", [y, x, o])
                Y[vy, vx, vo] = lane(A, (vy, vx), _row(rows_of, vo))

    return store_nested
