# mypy: ignore-errors
"""Linear layers whose filters stand in vector lanes and select their inputs from windows.

Two blocks a kernel::

    product  A[row, filter] = Σ over slots: X[row, start of window + index of filter] × weight
    store    Y[row, filter] = A[row, filter]

Written so, the inputs of a vector of filters are a gather from one window; `relay_passes` turns it
into a load and a permutation.
"""

from tvm.script import tirx as T

from tvm_sparse.algorithms import filters
from tvm_sparse.layer import Layer
from tvm_sparse.tile import WindowTile
from tvm_sparse.windows import BITS, PER_WORD


def sparse(layer: Layer, tile: WindowTile):
    """Return the algorithm over windows of `tile.lanes` channels.

    Returns
    -------
    PrimFunc
        Of (X, values (panels, slots, tile.filters) float32,
        words (panels, words, tile.filters) int32, Y), see `tvm_sparse.windows`.
    """
    x_shape, y_shape, rows, panels, channels = filters.sizes(layer, tile)
    panel, lanes, step = T.int64(tile.filters), tile.lanes, tile.step
    steps = T.int64(-(-layer.channels // (lanes * step)))
    slots, own = T.int64(tile.slots), T.int64(step * tile.slots)
    words = T.int64(-(-step * tile.slots // PER_WORD))
    read, store, attrs = filters.reading(layer), filters.storing(layer), tile.annotation

    def channel(words_, o, g, u, s):
        slot = u * slots + s
        word = words_[o // panel, g * words + slot // PER_WORD, o % panel]
        place = T.Cast("int32", slot % PER_WORD * BITS)
        start = T.min((g * step + u) * lanes, channels - lanes)
        return start + T.Cast("int64", T.bitwise_and(T.shift_right(word, place), lanes - 1))

    @T.prim_func(s_tir=True, private=True)
    def sparse_linear(
        X: T.Buffer(x_shape, "float32"),
        values: T.Buffer((panels, steps * own, panel), "float32"),
        words_: T.Buffer((panels, steps * words, panel), "int32"),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        A = T.sblock_alloc_buffer((rows, panels * panel))
        for m, o, g, u, s in T.grid(rows, panels * panel, steps, T.int64(step), slots):
            with T.sblock("product"):
                vm, vo, vg, vu, vs = T.axis.remap("SSRRR", [m, o, g, u, s])
                T.writes(A[vm, vo])
                T.sblock_attr({"tvm_sparse.windows": attrs})
                with T.init():
                    A[vm, vo] = T.float32(0)
                A[vm, vo] = A[vm, vo] + values[
                    vo // panel, vg * own + vu * slots + vs, vo % panel
                ] * read(X, vm, channel(words_, vo, vg, vu, vs))
        store(A, Y)

    return sparse_linear
