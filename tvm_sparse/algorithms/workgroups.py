# mypy: ignore-errors
"""Convolution and linear layers for GPUs: a tile of positions a workgroup.

Three blocks a kernel::

    stage    the input of a tile, chunk by chunk of channels, see `tvm_sparse.workgroup`
    product  A[tile, row, lane] = Σ over chunks and taps: weight × staged[offset of the tap + lane]
    store    Y[position] = A[its tile, its row, its lane]
"""

from tvm.script import tirx as T

from tvm_sparse.chunked import Chunked
from tvm_sparse.layer import Layer
from tvm_sparse.workgroup import Workgroup

KEY = "tvm_sparse.workgroup"


def product(layer: Layer, tile: Workgroup, weight: Chunked):
    """Return the algorithm over row blocks.

    Parameters
    ----------
    layer : Layer
        Of one group.
    tile : Workgroup
    weight : Chunked
        Only its sizes matter here.

    Returns
    -------
    PrimFunc
        Of (X, values (taps, P) float32, offset (taps,) int32, ptr (blocks * chunks + 1,) int32, Y).
        X and Y have the shapes of the operator's input and output.
    """
    x_shape, y_shape = _shapes(layer)
    taps, block, parts = (T.int64(n) for n in (*weight.values.shape, len(weight.ptr) - 1))
    batch, down, across, chunks, space, rows, lanes = _sizes(layer, tile, weight)
    stage = _staging(layer, tile)
    multiply = _multiplying(layer, tile, weight)
    store = (_store_matrix if layer.op == "linear" else _store_image)(layer, tile)

    @T.prim_func(s_tir=True, private=True)
    def sparse_product(
        X: T.Buffer(x_shape, "float32"),
        values: T.Buffer((taps, block), "float32"),
        offset: T.Buffer((taps,), "int32"),
        ptr: T.Buffer((parts + 1,), "int32"),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        S = T.sblock_alloc_buffer((batch, down, across, chunks, space))
        A = T.sblock_alloc_buffer((batch, down, across, rows, lanes))
        stage(X, S)
        multiply(A, S, values, offset, ptr)
        store(A, Y)

    return sparse_product


def _shapes(layer):
    if layer.op == "linear":
        shapes = (*layer.input, layer.channels), (*layer.output, layer.filters)
    else:
        batch, *size = layer.input
        shapes = (batch, layer.channels, *size), (batch, layer.filters, *layer.output[1:])
    return tuple(tuple(T.int64(n) for n in shape) for shape in shapes)


def _sizes(layer, tile, weight):
    """Return batch, tiles down and across, chunks, floats of a chunk, rows and lanes."""
    batch = 1 if layer.op == "linear" else layer.input[0]
    chunks = tile.chunks(layer)
    rows = (len(weight.ptr) - 1) // chunks * tile.filters
    sizes = (batch, *tile.tiles(layer), chunks, tile.space(layer), rows, tile.positions)
    return tuple(T.int64(n) for n in sizes)


def _staging(layer, tile):
    """Return the macro ``stage(X, S)``."""
    read = _reading_rows(layer, tile) if layer.op == "linear" else _reading_image(layer, tile)
    batch, down, across = (T.int64(n) for n in (_batch(layer), *tile.tiles(layer)))
    chunks, space = T.int64(tile.chunks(layer)), T.int64(tile.space(layer))

    @T.macro
    def stage(X, S):
        for b, y, x, c, q in T.grid(batch, down, across, chunks, space):
            with T.sblock("stage"):
                vb, vy, vx, vc, vq = T.axis.remap("SSSSS", [b, y, x, c, q])
                S[vb, vy, vx, vc, vq] = read(X, vb, vy, vx, vc, vq)

    return stage


def _batch(layer):
    return 1 if layer.op == "linear" else layer.input[0]


def _reading_image(layer, tile):
    high, wide = tile.region(layer)
    top, left, _, _ = layer.padding
    _, height, width = layer.input

    def read(X, b, y, x, c, q):
        channel = c * tile.channels + q // (high * wide)
        row = y * (tile.height * layer.stride[0]) + q // wide % high - top
        column = x * (tile.width * layer.stride[1]) + q % wide - left
        inside = T.And(T.And(row >= 0, row < height), T.And(column >= 0, column < width))
        inside = T.And(inside, channel < layer.channels)
        return T.if_then_else(inside, X[b, channel, row, column], T.float32(0))

    return read


def _reading_rows(layer, tile):
    wide = tile.channels + 1

    def read(X, b, y, x, c, q):
        channel, row = c * tile.channels + q % wide, x * tile.width + q // wide
        inside = T.And(channel < layer.channels, row < layer.positions)
        return T.if_then_else(inside, X[(*_nested(layer, row), channel)], T.float32(0))

    return read


def _nested(layer, row):
    """Return the indices of a row in the leading sizes of a linear layer, one of which counts."""
    lines = [size == layer.positions for size in layer.input]
    return tuple(row if i == lines.index(True) else 0 for i in range(len(lines)))


def _multiplying(layer, tile, weight):
    """Return the macro ``multiply(A, S, values, offset, ptr)``."""
    batch, down, across, chunks, space, rows, lanes = _sizes(layer, tile, weight)
    taps, block = (T.int64(n) for n in weight.values.shape)
    longest, attrs = T.int64(max(weight.longest, 1)), {KEY: _annotation(layer, tile)}
    lane_of, number = _lane(layer, tile), T.int64(len(weight.ptr) - 1)

    @T.macro
    def multiply(A, S, values, offset, ptr):
        for b, y, x, o, i, c, k in T.grid(batch, down, across, rows, lanes, chunks, longest):
            with T.sblock("product"):
                vb, vy, vx, vo, vi, vc, vk = T.axis.remap("SSSSSRR", [b, y, x, o, i, c, k])
                T.reads(
                    S[vb, vy, vx, vc, 0:space], values[0:taps, vo % block], offset[0:taps],
                    ptr[0 : number + 1],
                )  # fmt: skip
                T.writes(A[vb, vy, vx, vo, vi])
                T.sblock_attr(attrs)
                with T.init():
                    A[vb, vy, vx, vo, vi] = T.float32(0)
                if vk < T.Cast(
                    "int64", ptr[vo // block * chunks + vc + 1] - ptr[vo // block * chunks + vc]
                ):
                    A[vb, vy, vx, vo, vi] = A[vb, vy, vx, vo, vi] + values[
                        T.Cast("int64", ptr[vo // block * chunks + vc]) + vk, vo % block
                    ] * S[
                        vb, vy, vx, vc, lane_of(vi) + T.Cast(
                            "int64", offset[T.Cast("int64", ptr[vo // block * chunks + vc]) + vk]
                        ),
                    ]  # fmt: skip

    return multiply


def _annotation(layer, tile):
    return {**tile.annotation, "image": int(layer.op == "conv2d")}


def _lane(layer, tile):
    """Return how far a lane's input lies behind that of the tile's first position."""
    if layer.op == "linear":
        return lambda i: i * (tile.channels + 1)
    wide = tile.region(layer)[1]
    return lambda i: i // tile.width * (layer.stride[0] * wide) + i % tile.width * layer.stride[1]


def _store_image(layer, tile):
    batch, height, width = (T.int64(n) for n in layer.output)
    filters = T.int64(layer.filters)

    @T.macro
    def store(A, Y):
        for b, o, y, x in T.grid(batch, filters, height, width):
            with T.sblock("store"):
                vb, vo, vy, vx = T.axis.remap("SSSS", [b, o, y, x])
                Y[vb, vo, vy, vx] = A[
                    vb, vy // tile.height, vx // tile.width, vo,
                    vy % tile.height * tile.width + vx % tile.width,
                ]  # fmt: skip

    return store


def _store_matrix(layer, tile):
    filters = T.int64(layer.filters)
    sizes = [T.int64(n) for n in layer.output]

    def lane(A, indices, o):
        row = indices[layer.output.index(layer.positions)]
        return A[0, 0, row // tile.width, o, row % tile.width]

    if len(sizes) == 1:

        @T.macro
        def store(A, Y):
            for x, o in T.grid(sizes[0], filters):
                with T.sblock("store"):
                    vx, vo = T.axis.remap("SS", [x, o])
                    Y[vx, vo] = lane(A, (vx,), vo)

        return store

    @T.macro
    def store_nested(A, Y):
        for y, x, o in T.grid(sizes[0], sizes[1], filters):
            with T.sblock("store"):
                vy, vx, vo = T.axis.remap("SSS", [y, x, o])
                Y[vy, vx, vo] = lane(A, (vy, vx), vo)

    return store_nested
