# mypy: ignore-errors
"""Integer convolution and linear layers whose taps are tiles of AMX, see `tvm_sparse.amx`.

The blocks are those of `tvm_sparse.algorithms.integer`; the product has one more reduced axis, the
sixteen words of a tap::

    product  A[tile, row, lane] = Σ over taps, words: dot4(packed word, weight word)
    store    Y[position] = A[its tile, its row, its lane] + start of the row, scaled

It says what is computed and nothing of tiles: without AMX it is compiled like any other product.
"""

from tvm.script import tirx as T

from tvm_sparse import amx
from tvm_sparse.algorithms import word_product
from tvm_sparse.algorithms.multiply import grid
from tvm_sparse.algorithms.pack import packing
from tvm_sparse.algorithms.positions import shapes
from tvm_sparse.algorithms.rescale import copies, places, scaling
from tvm_sparse.amx import SIDE, AmxTile
from tvm_sparse.integer import Integers
from tvm_sparse.layer import Layer
from tvm_sparse.octets import dot4
from tvm_sparse.plane import Plane
from tvm_sparse.rows import RowBlocks
from tvm_sparse.words import repeated


def product(layer: Layer, plane: Plane, tile: AmxTile, rows: RowBlocks, numbers: Integers):
    """Return the algorithm over row blocks of tiles; parameters as `integer.product`.

    Returns
    -------
    PrimFunc
        Of (X int32, values (taps, P, 16) int32, offset (taps,) int32, ptr (blocks + 1,) int64,
        start (rows,) int32, factor (F,) float32, Y), as for `integer.product`; also with a
        residual.
    """
    x_shape, y_shape = shapes(layer)
    y_shape, dtype, filters = word_product.outputs(layer, numbers, y_shape)
    block, lists, taps = T.int64(rows.filters), T.int64(len(rows.ptr)), T.int64(len(rows.taps))
    batch, tiles, groups = grid(layer, plane)
    number, lanes = T.int64(rows.filters * rows.blocks), T.int64(tile.span(plane.length))
    space, side = T.int64(SIDE * amx.groups(layer) * plane.channel), T.int64(SIDE)
    pack = packing(layer, plane, repeated(numbers.data.zero))
    multiply = _multiplying(layer, plane, tile, rows)
    factors, place = filters * (1 + copies(numbers, tile)), places(layer, plane, tile, numbers)
    store = scaling(layer, _sums_of(plane), int(number) // layer.groups, numbers, place)

    @T.macro
    def body(X, values, offset, ptr, start, factor, ratio, R, Y):
        A = T.sblock_alloc_buffer((batch, tiles, number, lanes), "int32")
        if plane.in_place:
            multiply(A, X, values, offset, ptr)
        else:
            packed = T.sblock_alloc_buffer((batch, tiles, groups, space), "int32")
            pack(X, packed)
            multiply(A, packed, values, offset, ptr)
        store((A, start), factor, ratio, R, Y)

    arrays = word_product.Shapes(
        x=x_shape,
        values=(taps, block, side),
        offset=(taps,),
        ptr=(lists,),
        start=(number,),
        factor=(factors,),
        ratio=(filters,),
        y=y_shape,
        y_dtype=dtype,
    )
    return word_product.product(body, arrays, numbers.residual is not None)


def _multiplying(layer, plane, tile, rows):
    """Return the macro ``multiply(A, source, values, offset, ptr)``."""
    block, blocks, taps = T.int64(rows.filters), T.int64(rows.blocks), T.int64(len(rows.taps))
    longest, side = T.int64(max(rows.longest, 1)), T.int64(SIDE)
    batch, tiles, _ = grid(layer, plane)
    number, lanes = T.int64(rows.filters * rows.blocks), T.int64(tile.span(plane.length))
    group_rows = number // layer.groups
    (read, region), attrs = _reading(layer, plane), {"tvm_sparse.amx": tile.annotation}

    @T.macro
    def multiply(A, source, values, offset, ptr):
        for b, t, o, i, k, w in T.grid(batch, tiles, number, lanes, longest, side):
            with T.sblock("product"):
                vb, vt, vo, vi, vk, vw = T.axis.remap("SSSSRR", [b, t, o, i, k, w])
                T.reads(
                    region(source, vb, vt, vo // group_rows), offset[0:taps],
                    values[0:taps, vo % block, vw], ptr[0 : blocks + 1],
                )  # fmt: skip
                T.writes(A[vb, vt, vo, vi])
                T.sblock_attr(attrs)
                with T.init():
                    A[vb, vt, vo, vi] = T.int32(0)
                if vk < ptr[vo // block + 1] - ptr[vo // block]:
                    A[vb, vt, vo, vi] = dot4(
                        A[vb, vt, vo, vi],
                        read(
                            source,
                            vb,
                            vt,
                            vo // group_rows,
                            T.Cast("int64", offset[ptr[vo // block] + vk]),
                            vw,
                            vi,
                        ),
                        values[ptr[vo // block] + vk, vo % block, vw],
                    )

    return multiply


def _reading(layer, plane):
    """Return how a product reads word w of a tap, as `tvm_sparse.algorithms.read.reading`."""
    words, width = SIDE * amx.groups(layer), layer.input[-1]

    def read(packed, b, t, g, offset, w, i):
        return packed[b, t, g, offset + w * plane.channel + i]

    def region(packed, b, t, g):
        return packed[b, t, g, 0 : layer.weight[1] * plane.channel]

    def read_in_place(X, b, t, g, channel, w, i):
        position = t * plane.run + i
        if layer.op == "linear":
            return X[channel + w, position]
        return X[b, g * words + channel + w, position // width, position % width]

    def region_in_place(X, b, t, g):
        if layer.op == "linear":
            return X[0:words, t * plane.run : (t + 1) * plane.run]
        return X[b, g * words : (g + 1) * words, 0 : layer.input[1], 0:width]

    return (read_in_place, region_in_place) if plane.in_place else (read, region)


def _sums_of(plane):
    """Return the sums of a plane's tiles, of (A, start), as `scaling` reads them."""

    def sums(both, b, y, x):
        A, start = both
        return lambda row: A[b, plane.tile_of(y, x), row, plane.lane_of(y, x)] + start[row]

    return sums
