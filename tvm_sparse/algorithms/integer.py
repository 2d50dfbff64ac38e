# mypy: ignore-errors
"""Convolution and linear layers over words of four channels, output positions in vector lanes.

Three blocks a kernel, as in `tvm_sparse.algorithms.positions`, of a layer over words
(`tvm_sparse.words`)::

    pack     the input of a tile, see `tvm_sparse.plane`
    product  A[tile, row, lane] = start of the row + Σ over taps: dot4(packed word, weight word)
    store    Y[position] = A[its tile, its row, its lane], scaled to a float or to a byte of a word

See `tvm_sparse.integer` for the numbers.
"""

from tvm.script import tirx as T

from tvm_sparse.algorithms import word_product
from tvm_sparse.algorithms.multiply import grid
from tvm_sparse.algorithms.pack import packing
from tvm_sparse.algorithms.positions import shapes
from tvm_sparse.algorithms.read import reading
from tvm_sparse.algorithms.rescale import copies, places, scaling, sums_of
from tvm_sparse.integer import Integers
from tvm_sparse.layer import Layer
from tvm_sparse.octets import dot4
from tvm_sparse.plane import Plane
from tvm_sparse.rows import RowBlocks
from tvm_sparse.tile import Tile
from tvm_sparse.words import repeated


def product(layer: Layer, plane: Plane, tile: Tile, rows: RowBlocks, numbers: Integers):
    """Return the algorithm over row blocks, in filter order.

    Parameters
    ----------
    layer, plane, tile
        What to compute, over words; how its input is packed; how its loops are cut.
    rows : RowBlocks
        The weights, in words; only their sizes matter here.
    numbers : Integers

    Returns
    -------
    PrimFunc
        Of (X int32, values (taps, P) int32, offset (taps,) int32, ptr (blocks + 1,) int64,
        start (rows,) int32, factor (F,) float32, Y); Y is float32, or words of int32, with
        `factor` filled up to whole ones, and so many `copies` of each shift before it. With a
        residual (…, factor, ratio (F,), R, Y), where R is like Y.
    """
    x_shape, y_shape = shapes(layer)
    y_shape, dtype, filters = word_product.outputs(layer, numbers, y_shape)
    block, lists, taps = T.int64(rows.filters), T.int64(len(rows.ptr)), T.int64(len(rows.taps))
    batch, tiles, groups = grid(layer, plane)
    number, lanes = T.int64(rows.filters * rows.blocks), T.int64(tile.span(plane.length))
    space = T.int64(layer.weight[1] * plane.channel)
    pack = packing(layer, plane, repeated(numbers.data.zero) ^ numbers.dot.flip)
    multiply = _multiplying(layer, plane, tile, rows, numbers.dot)
    factors, place = filters * (1 + copies(numbers, tile)), places(layer, plane, tile, numbers)
    store = scaling(layer, sums_of(plane), int(number) // layer.groups, numbers, place)

    @T.macro
    def body(X, values, offset, ptr, start, factor, ratio, R, Y):
        A = T.sblock_alloc_buffer((batch, tiles, number, lanes), "int32")
        if plane.in_place:
            multiply(A, X, values, offset, ptr, start)
        else:
            packed = T.sblock_alloc_buffer((batch, tiles, groups, space), "int32")
            pack(X, packed)
            multiply(A, packed, values, offset, ptr, start)
        store(A, factor, ratio, R, Y)

    arrays = word_product.Shapes(
        x=x_shape,
        values=(taps, block),
        offset=(taps,),
        ptr=(lists,),
        start=(number,),
        factor=(factors,),
        ratio=(filters,),
        y=y_shape,
        y_dtype=dtype,
    )
    return word_product.product(body, arrays, numbers.residual is not None)


def _multiplying(layer, plane, tile, rows, dot):
    """Return the macro ``multiply(A, source, values, offset, ptr, start)``."""
    block, blocks, taps = T.int64(rows.filters), T.int64(rows.blocks), T.int64(len(rows.taps))
    longest = T.int64(max(rows.longest, 1))
    batch, tiles, _ = grid(layer, plane)
    number, lanes = T.int64(rows.filters * rows.blocks), T.int64(tile.span(plane.length))
    group_rows = number // layer.groups
    (read, region), attrs = reading(layer, plane), {"tvm_sparse.tile": tile.annotation}
    paired = bool(tile.paired)

    @T.macro
    def multiply(A, source, values, offset, ptr, start):
        for b, t, o, i, k in T.grid(batch, tiles, number, lanes, longest):
            with T.sblock("product"):
                vb, vt, vo, vi, vk = T.axis.remap("SSSSR", [b, t, o, i, k])
                T.reads(
                    region(source, vb, vt, vo // group_rows), start[vo],
                    values[0:taps, vo % block], offset[0:taps], ptr[0 : blocks + 1],
                )  # fmt: skip
                T.writes(A[vb, vt, vo, vi])
                T.sblock_attr(attrs)
                with T.init():
                    A[vb, vt, vo, vi] = start[vo]
                if vk < ptr[vo // block + 1] - ptr[vo // block]:
                    A[vb, vt, vo, vi] = dot4(
                        A[vb, vt, vo, vi],
                        read(
                            source,
                            vb,
                            vt,
                            vo // group_rows,
                            T.Cast("int64", offset[ptr[vo // block] + vk]),
                            vi,
                        ),
                        values[ptr[vo // block] + vk, vo % block],
                        dot,
                        paired,
                    )

    return multiply
