# mypy: ignore-errors
"""Linear layers over words of two bfloat16 channels; filters stand in vector lanes.

Two blocks a kernel, the sums floats::

    product  A[row, filter] = Σ over words: X[row, word] · W[word, filter], two products each
    store    Y[row, filter] = A[row, filter]
"""

from tvm import te, tirx
from tvm.script import tirx as T

from tvm_sparse.algorithms import filters
from tvm_sparse.dot2 import dot2
from tvm_sparse.layer import Layer
from tvm_sparse.rows import RowBlocks
from tvm_sparse.tile import PanelTile


def dense(layer: Layer, tile: PanelTile):
    """Return the algorithm over all words.

    Parameters
    ----------
    layer : Layer
        Over words of two channels.
    tile : PanelTile

    Returns
    -------
    PrimFunc
        Of (X int32, values (panels, words, tile.filters) int32, Y).
    """
    x_shape, y_shape, rows, panels, words = filters.sizes(layer, tile)
    panel = T.int64(tile.filters)
    read, store, attrs = filters.reading(layer), filters.storing(layer), tile.annotation

    @T.prim_func(s_tir=True, private=True)
    def dense_linear(
        X: T.Buffer(x_shape, "int32"),
        values: T.Buffer((panels, words, panel), "int32"),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        A = T.sblock_alloc_buffer((rows, panels * panel))
        for m, o, k in T.grid(rows, panels * panel, words):
            with T.sblock("product"):
                vm, vo, vk = T.axis.remap("SSR", [m, o, k])
                T.sblock_attr({"tvm_sparse.panel": attrs})
                with T.init():
                    A[vm, vo] = T.float32(0)
                A[vm, vo] = dot2(A[vm, vo], read(X, vm, vk), values[vo // panel, vk, vo % panel])
        store(A, Y)

    return dense_linear


def sparse(layer: Layer, tile: PanelTile, row_blocks: RowBlocks):
    """Return the algorithm over row blocks of `tile.filters` filters; parameters as `dense`.

    Returns
    -------
    PrimFunc
        Of (X int32, values (taps, tile.filters) int32, word (taps,) int32,
        ptr (panels + 1,) int64, Y).
    """
    x_shape, y_shape, rows, panels, _ = filters.sizes(layer, tile)
    panel, taps = T.int64(tile.filters), T.int64(len(row_blocks.taps))
    longest = T.int64(max(row_blocks.longest, 1))
    read, store, attrs = filters.reading(layer), filters.storing(layer), tile.annotation

    @T.prim_func(s_tir=True, private=True)
    def sparse_linear(
        X: T.Buffer(x_shape, "int32"),
        values: T.Buffer((taps, panel), "int32"),
        word: T.Buffer((taps,), "int32"),
        ptr: T.Buffer((panels + 1,), "int64"),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        A = T.sblock_alloc_buffer((rows, panels * panel))
        for m, o, k in T.grid(rows, panels * panel, longest):
            with T.sblock("product"):
                vm, vo, vk = T.axis.remap("SSR", [m, o, k])
                T.writes(A[vm, vo])
                T.sblock_attr({"tvm_sparse.panel": attrs})
                with T.init():
                    A[vm, vo] = T.float32(0)
                if vk < ptr[vo // panel + 1] - ptr[vo // panel]:
                    A[vm, vo] = dot2(
                        A[vm, vo],
                        read(X, vm, T.Cast("int64", word[ptr[vo // panel] + vk])),
                        values[ptr[vo // panel] + vk, vo % panel],
                    )
        store(A, Y)

    return sparse_linear


def joined(x: te.Tensor):
    """Return floats (…, C) as words (…, ceil(C / 2)) of two bfloat16, rounded to the nearest."""
    *lead, channels = x.shape

    def number(value):
        return tirx.const(value, "uint32")

    def upper(*index):
        bits = tirx.reinterpret("uint32", x(*index))
        odd = tirx.bitwise_and(tirx.shift_right(bits, number(16)), number(1))
        found = tirx.shift_right(bits + number(0x7FFF) + odd, number(16))
        if int(channels) % 2:
            return tirx.if_then_else(index[-1] < channels, found, number(0))
        return found

    def word(*index):
        *rows, k = index
        high = tirx.shift_left(upper(*rows, 2 * k + 1), number(16))
        return tirx.reinterpret("int32", tirx.bitwise_or(upper(*rows, 2 * k), high))

    return te.compute((*lead, (channels + 1) // 2), word, name="pairs")
