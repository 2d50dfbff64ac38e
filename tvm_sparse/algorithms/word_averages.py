# mypy: ignore-errors
"""Average pooling over words of four bytes, exact up to the one rounding at its end.

As `tvm_sparse.algorithms.pool2d`, of words, with four sums for each::

    product  A[tile, word, j, lane] = -zero · taps + Σ over taps: byte j of the packed word
    store    byte j of Y[position] = zero' + round(clip(float(A[…, j, …]) · share[position]))

Padding counts as zeros: it is packed as the zero point's byte.
"""

from tvm.script import tirx as T

from tvm_sparse.algorithms import rounding
from tvm_sparse.algorithms.pack import packing
from tvm_sparse.dot import SIGN, Dot
from tvm_sparse.layer import Layer
from tvm_sparse.octets import dot4
from tvm_sparse.plane import Plane
from tvm_sparse.tile import Tile
from tvm_sparse.words import BYTES, repeated


def average(
    layer: Layer, plane: Plane, tile: Tile, zero: int, bounds: tuple[int, int, int], dot: Dot
):
    """Return the algorithm.

    Parameters
    ----------
    layer : Layer
        The window, as a depthwise convolution of words: weight (C / 4, 1, Kh, Kw).
    plane, tile
    zero : int
        The byte that stands for zero in the input.
    bounds : (int, int, int)
        The zero point of the output, and the lowest and highest byte, counted from there.
    dot : Dot
        How words are multiplied.

    Returns
    -------
    PrimFunc
        Of (X int32, share (Ho, Wo) float32, Y int32); `share` is the input's scale over the
        output's, and over the number of inputs that count at each output position.
    """
    batch, number = T.int64(layer.input[0]), T.int64(layer.filters)
    tiles, lanes, taps = (T.int64(v) for v in (plane.tiles, plane.length, layer.taps))
    in_h, in_w, out_h, out_w = (T.int64(v) for v in (*layer.input[1:], *layer.output[1:]))
    space, attrs = T.int64(plane.channel), tile.annotation
    pack = packing(layer, plane, repeated(zero) ^ dot.flip)
    start = T.int32((SIGN * dot.signed - zero) * layer.taps)
    octets = T.int64(BYTES)
    stored, low, high = bounds

    def word(A, b, t, w, lane, share):
        joined = None
        for j in range(BYTES):
            scaled = T.Cast("float32", A[b, t, w, j, lane]) * share
            one = T.max(T.min(scaled, T.float32(high)), T.float32(low))
            one = rounding.nearest(one, 255, by_addition=True) + stored
            one = T.shift_left(one, T.int32(8 * j)) if j else one
            joined = one if joined is None else T.bitwise_or(joined, one)
        return T.bitwise_xor(joined, T.int32(dot.flip)) if dot.signed else joined

    @T.macro
    def begin(A, b, t, w, j, i):
        A[b, t, w, j, i] = start

    @T.macro
    def add(A, packed, b, t, w, j, i, k):
        A[b, t, w, j, i] = dot4(
            A[b, t, w, j, i],
            packed[b, t, w, plane.offset_of(k) + plane.start_of(i)],
            T.shift_left(T.int32(1), T.Cast("int32", 8 * j)),
            dot,
        )

    @T.prim_func(s_tir=True, private=True)
    def average_pool_words(
        X: T.Buffer((batch, number, in_h, in_w), "int32"),
        share: T.Buffer((out_h, out_w), "float32"),
        Y: T.Buffer((batch, number, out_h, out_w), "int32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        packed = T.sblock_alloc_buffer((batch, tiles, number, space), "int32")
        A = T.sblock_alloc_buffer((batch, tiles, number, octets, lanes), "int32")
        pack(X, packed)
        for b, t, o, i, k in T.grid(batch, tiles, number, lanes, taps):
            with T.sblock("product"):
                vb, vt, vo, vi, vk = T.axis.remap("SSSSR", [b, t, o, i, k])
                T.reads(packed[vb, vt, vo, 0:space])
                T.writes(A[vb, vt, vo, 0:octets, vi])
                T.sblock_attr({"tvm_sparse.tile": attrs})
                with T.init():
                    begin(A, vb, vt, vo, 0, vi)
                    begin(A, vb, vt, vo, 1, vi)
                    begin(A, vb, vt, vo, 2, vi)
                    begin(A, vb, vt, vo, 3, vi)
                add(A, packed, vb, vt, vo, 0, vi, vk)
                add(A, packed, vb, vt, vo, 1, vi, vk)
                add(A, packed, vb, vt, vo, 2, vi, vk)
                add(A, packed, vb, vt, vo, 3, vi, vk)
        for b, o, y, x in T.grid(batch, number, out_h, out_w):
            with T.sblock("store"):
                vb, vo, vy, vx = T.axis.remap("SSSS", [b, o, y, x])
                Y[vb, vo, vy, vx] = word(
                    A, vb, plane.tile_of(vy, vx), vo, plane.lane_of(vy, vx), share[vy, vx]
                )

    return average_pool_words
