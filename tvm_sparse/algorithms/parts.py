# mypy: ignore-errors
"""Convolution and linear layers whose weight is the sum of two: a core and a rest.

The blocks of `tvm_sparse.algorithms.positions`, with a second product over the same packed input::

    pack     the input of a tile
    product  A[tile, row, lane] = Σ over the core's taps: weight × packed[…]
    rest     R[tile, row, lane] = Σ over the rest's taps: weight × packed[…]
    sum      S = A + R, inlined into the store
    store    Y[position] = S[its tile, its row, its lane]
"""

from tvm.script import tirx as T

from tvm_sparse.algorithms.multiply import grid, multiplying
from tvm_sparse.algorithms.pack import packing
from tvm_sparse.algorithms.positions import shapes
from tvm_sparse.algorithms.store import storing
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.rows import RowBlocks
from tvm_sparse.tile import Tile


def sparse(layer: Layer, plane: Plane, tiles: tuple[Tile, Tile], core: RowBlocks, rest: RowBlocks):
    """Return the algorithm over the row blocks of a core and a rest.

    Parameters
    ----------
    layer, plane
        What to compute, and how its input is packed.
    tiles : (Tile, Tile)
        The cuts of the core's product and of the rest's.
    core : RowBlocks
    rest : RowBlocks
        Blocks of one filter, as many as the core has rows, in the same order.

    Returns
    -------
    PrimFunc
        Of (X, values, offset, ptr, rest values, rest offset, rest ptr, Y), each as in
        `positions.sparse`; when the rows are not in filter order, of
        (…, rest ptr, row (F,) int32, Y).
    """
    x_shape, y_shape = shapes(layer)
    block, blocks, taps = T.int64(core.filters), T.int64(core.blocks), T.int64(len(core.taps))
    batch, parts, groups = grid(layer, plane)
    number, strays = T.int64(core.filters * core.blocks), T.int64(len(rest.taps))
    lanes, rest_lanes = (T.int64(tile.span(plane.length)) for tile in tiles)
    length, space = T.int64(plane.length), T.int64(layer.weight[1] * plane.channel)
    pack, multiply = packing(layer, plane), multiplying(layer, plane, tiles[0], core)
    multiply_rest = multiplying(layer, plane, tiles[1], rest, "rest", "tvm_sparse.rest")
    in_order = core.in_order(layer.filters)
    store = storing(layer, plane, int(number) // layer.groups if in_order else 0)

    @T.macro
    def body(X, values, offset, ptr, rest_values, rest_offset, rest_ptr, row, Y):
        A = T.sblock_alloc_buffer((batch, parts, number, lanes))
        R = T.sblock_alloc_buffer((batch, parts, number, rest_lanes))
        S = T.sblock_alloc_buffer((batch, parts, number, length))
        if plane.in_place:
            multiply(A, X, values, offset, ptr)
            multiply_rest(R, X, rest_values, rest_offset, rest_ptr)
        else:
            packed = T.sblock_alloc_buffer((batch, parts, groups, space))
            pack(X, packed)
            multiply(A, packed, values, offset, ptr)
            multiply_rest(R, packed, rest_values, rest_offset, rest_ptr)
        for b, t, o, i in T.grid(batch, parts, number, length):
            with T.sblock("sum"):
                vb, vt, vo, vi = T.axis.remap("SSSS", [b, t, o, i])
                S[vb, vt, vo, vi] = A[vb, vt, vo, vi] + R[vb, vt, vo, vi]
        store(S, Y, row)

    if in_order:

        @T.prim_func(s_tir=True, private=True)
        def parts_product(
            X: T.Buffer(x_shape, "float32"),
            values: T.Buffer((taps, block), "float32"),
            offset: T.Buffer((taps,), "int32"),
            ptr: T.Buffer((blocks + 1,), "int64"),
            rest_values: T.Buffer((strays, T.int64(1)), "float32"),
            rest_offset: T.Buffer((strays,), "int32"),
            rest_ptr: T.Buffer((number + 1,), "int64"),
            Y: T.Buffer(y_shape, "float32"),
        ):
            T.func_attr({"tirx.noalias": True, "op_pattern": 4})
            body(X, values, offset, ptr, rest_values, rest_offset, rest_ptr, None, Y)

        return parts_product

    @T.prim_func(s_tir=True, private=True)
    def reordered_parts(
        X: T.Buffer(x_shape, "float32"),
        values: T.Buffer((taps, block), "float32"),
        offset: T.Buffer((taps,), "int32"),
        ptr: T.Buffer((blocks + 1,), "int64"),
        rest_values: T.Buffer((strays, T.int64(1)), "float32"),
        rest_offset: T.Buffer((strays,), "int32"),
        rest_ptr: T.Buffer((number + 1,), "int64"),
        row: T.Buffer((T.int64(layer.filters),), "int32"),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        body(X, values, offset, ptr, rest_values, rest_offset, rest_ptr, row, Y)

    return reordered_parts
