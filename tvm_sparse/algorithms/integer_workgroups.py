# mypy: ignore-errors
"""Convolution and linear layers over words of four channels for GPUs.

The blocks of `tvm_sparse.algorithms.workgroups`, of a layer over words (`tvm_sparse.words`)::

    stage    the input of a tile, chunk by chunk of words, see `tvm_sparse.workgroup`
    product  A[tile, row, lane] = start of the row + Σ over chunks and taps: dot4(staged, weight)
    store    Y[position] = A[its tile, its row, its lane], scaled to a float or to a byte of a word

See `tvm_sparse.integer` for the numbers.
"""

from tvm.script import tirx as T

from tvm_sparse.algorithms import word_product
from tvm_sparse.algorithms.positions import shapes
from tvm_sparse.algorithms.rescale import scaling
from tvm_sparse.algorithms.staging import sizes, staging
from tvm_sparse.algorithms.workgroups import KEY, annotation, at_pixel, chunk_of, lane_offset
from tvm_sparse.chunked import Chunked
from tvm_sparse.integer import Integers
from tvm_sparse.layer import Layer
from tvm_sparse.octets import dot4
from tvm_sparse.words import BYTES, repeated
from tvm_sparse.workgroup import Workgroup


def product(layer: Layer, tile: Workgroup, weight: Chunked, numbers: Integers):
    """Return the algorithm over row blocks, in filter order.

    Parameters
    ----------
    layer, tile
        What to compute, over words; blocks have a multiple of four filters.
    weight : Chunked
        The weights, in words; only their sizes matter here.
    numbers : Integers

    Returns
    -------
    PrimFunc
        Of (X int32, values (taps, P) int32, offset (taps,) int32, ptr (blocks * chunks + 1,) int32,
        start (rows,) int32, factor (F,) float32, Y); Y is float32, or words of int32, with
        `factor` filled up to whole ones. With a residual (…, factor, ratio like factor, R, Y),
        where R is like Y. Linear layers read and write (channels, rows).
    """
    x_shape, y_shape = shapes(layer)
    y_shape, dtype, filters = word_product.outputs(layer, numbers, y_shape)
    taps, block, parts = (T.int64(n) for n in (*weight.values.shape, len(weight.ptr) - 1))
    rows, lanes = T.int64(weight.rows(layer, tile)), T.int64(tile.positions)
    batch, down, across, chunks, space = sizes(layer, tile)
    stage = staging(layer, tile, T.int32(repeated(numbers.data.zero)), turned=True)
    multiply = _multiplying(layer, tile, weight, BYTES if numbers.output else 1)
    store = scaling(layer, _sums(tile), layer.filters // layer.groups, numbers)

    @T.macro
    def body(X, values, offset, ptr, start, factor, ratio, R, Y):
        S = T.sblock_alloc_buffer((batch, down, across, chunks, space), "int32")
        A = T.sblock_alloc_buffer((batch, down, across, rows, lanes), "int32")
        stage(X, S)
        multiply(A, S, values, offset, ptr, start)
        store(A, factor, ratio, R, Y)

    arrays = word_product.Shapes(
        x=x_shape,
        values=(taps, block),
        offset=(taps,),
        ptr=(parts + 1,),
        start=(rows,),
        factor=(filters,),
        ratio=(filters,),
        y=y_shape,
        y_dtype=dtype,
        ptr_dtype="int32",
    )
    return word_product.product(body, arrays, numbers.residual is not None)


def _sums(tile):
    """Return a function of a position that returns one of a row: its sum there."""

    def sums(A, b, y, x):
        return lambda row: at_pixel(A, tile, b, row, y, x)

    return sums


def _multiplying(layer, tile, weight, word):
    """Return the macro ``multiply(A, S, values, offset, ptr, start)``."""
    batch, down, across, _, space = sizes(layer, tile)
    rows, lanes, chunks = weight.rows(layer, tile), tile.positions, T.int64(tile.chunks(layer))
    taps, block = (T.int64(n) for n in weight.values.shape)
    longest = T.int64(max(weight.longest, 1))
    attrs = {KEY: annotation(layer, tile, turned=True, word=word)}
    lane_of, of_filter = lane_offset(layer, tile), chunk_of(layer, tile)
    number = T.int64(len(weight.ptr) - 1)

    @T.macro
    def multiply(A, S, values, offset, ptr, start):
        for b, y, x, o, i, c, k in T.grid(batch, down, across, rows, lanes, chunks, longest):
            with T.sblock("product"):
                vb, vy, vx, vo, vi, vc, vk = T.axis.remap("SSSSSRR", [b, y, x, o, i, c, k])
                T.reads(
                    S[vb, vy, vx, of_filter(vo, vc), 0:space], values[0:taps, vo % block],
                    offset[0:taps], ptr[0 : number + 1], start[vo],
                )  # fmt: skip
                T.writes(A[vb, vy, vx, vo, vi])
                T.sblock_attr(attrs)
                with T.init():
                    A[vb, vy, vx, vo, vi] = start[vo]
                if vk < T.Cast(
                    "int64", ptr[vo // block * chunks + vc + 1] - ptr[vo // block * chunks + vc]
                ):
                    A[vb, vy, vx, vo, vi] = dot4(
                        A[vb, vy, vx, vo, vi],
                        S[
                            vb, vy, vx, of_filter(vo, vc), lane_of(vi) + T.Cast(
                                "int64",
                                offset[T.Cast("int64", ptr[vo // block * chunks + vc]) + vk],
                            ),
                        ],
                        values[T.Cast("int64", ptr[vo // block * chunks + vc]) + vk, vo % block],
                    )  # fmt: skip

    return multiply
