# mypy: ignore-errors
"""Pooling: a depthwise layer that takes the largest value, or the sum, instead of a product."""

import numpy as np
from tvm.script import tirx as T

from tvm_sparse.algorithms.pack import packing
from tvm_sparse.dot import Dot
from tvm_sparse.layer import Layer
from tvm_sparse.octets import max4
from tvm_sparse.plane import Plane
from tvm_sparse.tile import Tile

_LOWEST = float(np.finfo(np.float32).min)


def maximum(layer: Layer, plane: Plane, tile: Tile):
    """Return the algorithm of max pooling.

    Parameters
    ----------
    layer : Layer
        The window, as a depthwise convolution: weight (C, 1, Kh, Kw), groups C.

    Returns
    -------
    PrimFunc
        Of (X, Y).
    """
    return _pool(layer, plane, tile, _LOWEST, lambda a, b: T.max(a, b))


def words_maximum(layer: Layer, plane: Plane, tile: Tile, dot: Dot):
    """Return the algorithm of max pooling over words of four bytes.

    Parameters
    ----------
    layer : Layer
        The window, as a depthwise convolution of words.
    dot : Dot
        Whether bytes are signed.

    Returns
    -------
    PrimFunc
        Of (X, Y), int32.
    """
    return _pool(layer, plane, tile, dot.flip, lambda a, b: max4(a, b, dot))


def average(layer: Layer, plane: Plane, tile: Tile):
    """Return the algorithm of average pooling.

    Returns
    -------
    PrimFunc
        Of (X, share (Ho, Wo) float32, Y); `share` is one over the number of
        inputs that count at each output position.
    """
    return _pool(layer, plane, tile, 0.0, lambda a, b: a + b, averaged=True)


def _pool(layer, plane, tile, start, combine, averaged=False):
    batch, filters = T.int64(layer.input[0]), T.int64(layer.filters)
    tiles, lanes, taps = (T.int64(v) for v in (plane.tiles, plane.length, layer.taps))
    in_h, in_w, out_h, out_w = (T.int64(v) for v in (*layer.input[1:], *layer.output[1:]))
    space, attrs = T.int64(plane.channel), tile.annotation
    dtype = "int32" if isinstance(start, int) else "float32"
    first = T.int32(start) if isinstance(start, int) else T.float32(start)
    pack = packing(layer, plane, start)

    @T.macro
    def body(X, share, Y):
        packed = T.sblock_alloc_buffer((batch, tiles, filters, space), dtype)
        A = T.sblock_alloc_buffer((batch, tiles, filters, lanes), dtype)
        pack(X, packed)
        for b, t, o, i, k in T.grid(batch, tiles, filters, lanes, taps):
            with T.sblock("product"):
                vb, vt, vo, vi, vk = T.axis.remap("SSSSR", [b, t, o, i, k])
                T.reads(packed[vb, vt, vo, 0:space])
                T.writes(A[vb, vt, vo, vi])
                T.sblock_attr({"tvm_sparse.tile": attrs})
                with T.init():
                    A[vb, vt, vo, vi] = first
                A[vb, vt, vo, vi] = combine(
                    A[vb, vt, vo, vi], packed[vb, vt, vo, plane.offset_of(vk) + plane.start_of(vi)]
                )
        for b, o, y, x in T.grid(batch, filters, out_h, out_w):
            with T.sblock("store"):
                vb, vo, vy, vx = T.axis.remap("SSSS", [b, o, y, x])
                if averaged:
                    Y[vb, vo, vy, vx] = (
                        A[vb, plane.tile_of(vy, vx), vo, plane.lane_of(vy, vx)] * share[vy, vx]
                    )
                else:
                    Y[vb, vo, vy, vx] = A[vb, plane.tile_of(vy, vx), vo, plane.lane_of(vy, vx)]

    if not averaged:

        @T.prim_func(s_tir=True, private=True)
        def max_pool(
            X: T.Buffer((batch, filters, in_h, in_w), dtype),
            Y: T.Buffer((batch, filters, out_h, out_w), dtype),
        ):
            T.func_attr({"tirx.noalias": True, "op_pattern": 4})
            body(X, None, Y)

        return max_pool

    @T.prim_func(s_tir=True, private=True)
    def average_pool(
        X: T.Buffer((batch, filters, in_h, in_w), "float32"),
        share: T.Buffer((out_h, out_w), "float32"),
        Y: T.Buffer((batch, filters, out_h, out_w), "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        body(X, share, Y)

    return average_pool
