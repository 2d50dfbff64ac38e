# mypy: ignore-errors
"""Linear layers over pairs of bfloat16 whose taps are tiles of AMX, see `tvm_sparse.amx`.

Two blocks a kernel, as in `tvm_sparse.algorithms.pairs`; the product has one more reduced axis, the
sixteen words of a tap::

    product  A[row, filter] = Σ over taps, words: X[row, word of the tap] · W[word, filter]
    store    Y[row, filter] = A[row, filter]

X has whole tiles of rows and of words, see `joined`: a weight of 0 times what is no number would
be none either.
"""

import math

from tvm import te, tirx
from tvm.script import tirx as T

from tvm_sparse import amx
from tvm_sparse.algorithms.filters import sizes, storing
from tvm_sparse.algorithms.pairs import both, upper_half
from tvm_sparse.amx import SIDE, AmxPanelTile
from tvm_sparse.dot2 import dot2
from tvm_sparse.layer import Layer
from tvm_sparse.rows import RowBlocks


def product(layer: Layer, tile: AmxPanelTile, row_blocks: RowBlocks):
    """Return the algorithm over row blocks of tiles.

    Parameters
    ----------
    layer : Layer
        Over words.
    tile : AmxPanelTile
    row_blocks : RowBlocks
        Of `tile.filters` filters; only their sizes matter here.

    Returns
    -------
    PrimFunc
        Of (X (rows, words) int32, values (taps, 16, tile.filters) int32, group (taps,) int32,
        ptr (panels + 1,) int64, Y).
    """
    _, y_shape, rows, panels, _ = sizes(layer, tile)
    x_shape = tuple(T.int64(v) for v in whole(layer, tile))
    panel, taps, side = T.int64(tile.filters), T.int64(len(row_blocks.taps)), T.int64(SIDE)
    longest = T.int64(max(row_blocks.longest, 1))
    store, attrs = storing(layer), {"tvm_sparse.amx_panel": tile.annotation}

    @T.prim_func(s_tir=True, private=True)
    def amx_linear(
        X: T.Buffer(x_shape, "int32"),
        values: T.Buffer((taps, side, panel), "int32"),
        group: T.Buffer((taps,), "int32"),
        ptr: T.Buffer((panels + 1,), "int64"),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        A = T.sblock_alloc_buffer((rows, panels * panel))
        for m, o, k, w in T.grid(rows, panels * panel, longest, side):
            with T.sblock("product"):
                vm, vo, vk, vw = T.axis.remap("SSRR", [m, o, k, w])
                T.writes(A[vm, vo])
                T.sblock_attr(attrs)
                with T.init():
                    A[vm, vo] = T.float32(0)
                if vk < ptr[vo // panel + 1] - ptr[vo // panel]:
                    A[vm, vo] = dot2(
                        A[vm, vo],
                        X[vm, T.Cast("int64", group[ptr[vo // panel] + vk]) * side + vw],
                        values[ptr[vo // panel] + vk, vw, vo % panel],
                    )
        store(A, Y)

    return amx_linear


def whole(layer: Layer, tile: AmxPanelTile) -> tuple[int, int]:
    """Return the rows and words of the input that fill tiles."""
    return -(-layer.positions // tile.rows) * tile.rows, amx.groups(layer) * SIDE


def joined(x: te.Tensor, rows: int, words: int):
    """Return floats (…, C) as (rows, words) words of two bfloat16, filled up with zeros."""
    *lead, channels = (int(size) for size in x.shape)
    inner = lead[-1]

    def upper(row, channel):
        inside = tirx.all(row < math.prod(lead), channel < channels)
        index = (row // inner, row % inner) if len(lead) == 2 else (row,)
        zero = tirx.const(0, "uint32")
        return tirx.if_then_else(inside, upper_half(x(*index, channel)), zero)

    def word(row, k):
        return both(upper(row, 2 * k), upper(row, 2 * k + 1))

    return te.compute((rows, words), word, name="pairs")
