# mypy: ignore-errors
"""Linear layers whose filters stand in vector lanes: for few rows, and for blocks of many filters.

Two blocks a kernel::

    product  A[row, filter] = Σ over channels: X[row, channel] × weight
    store    Y[row, filter] = A[row, filter]
"""

from tvm.script import tirx as T

from tvm_sparse.layer import Layer
from tvm_sparse.rows import RowBlocks
from tvm_sparse.tile import PanelTile


def add_product(total, x, weight):
    """Return a sum and a product of floats."""
    return total + weight * x


def dense(layer: Layer, tile: PanelTile, dtype="float32", add=add_product):
    """Return the algorithm over all channels.

    Parameters
    ----------
    layer : Layer
    tile : PanelTile
    dtype : str
        Of inputs and weights; sums and outputs are float32.
    add : callable
        Takes a sum, an input and a weight, and returns the sum with their product.

    Returns
    -------
    PrimFunc
        Of (X, values (panels, channels, tile.filters) of dtype, Y).
    """
    x_shape, y_shape, rows, panels, channels = sizes(layer, tile)
    panel = T.int64(tile.filters)
    read, store, attrs = reading(layer), storing(layer), tile.annotation

    @T.prim_func(s_tir=True, private=True)
    def dense_linear(
        X: T.Buffer(x_shape, dtype),
        values: T.Buffer((panels, channels, panel), dtype),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        A = T.sblock_alloc_buffer((rows, panels * panel))
        for m, o, k in T.grid(rows, panels * panel, channels):
            with T.sblock("product"):
                vm, vo, vk = T.axis.remap("SSR", [m, o, k])
                T.sblock_attr({"tvm_sparse.panel": attrs})
                with T.init():
                    A[vm, vo] = T.float32(0)
                A[vm, vo] = add(A[vm, vo], read(X, vm, vk), values[vo // panel, vk, vo % panel])
        store(A, Y)

    return dense_linear


def sparse(layer: Layer, tile: PanelTile, row_blocks: RowBlocks, dtype="float32", add=add_product):
    """Return the algorithm over row blocks of `tile.filters` filters, in filter order.

    Other parameters as `dense`.

    Returns
    -------
    PrimFunc
        Of (X, values (taps, tile.filters) of dtype, channel (taps,) int32,
        ptr (panels + 1,) int64, Y).
    """
    x_shape, y_shape, rows, panels, _ = sizes(layer, tile)
    panel, taps = T.int64(tile.filters), T.int64(len(row_blocks.taps))
    longest = T.int64(max(row_blocks.longest, 1))
    read, store, attrs = reading(layer), storing(layer), tile.annotation

    @T.prim_func(s_tir=True, private=True)
    def sparse_linear(
        X: T.Buffer(x_shape, dtype),
        values: T.Buffer((taps, panel), dtype),
        channel: T.Buffer((taps,), "int32"),
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
                    A[vm, vo] = add(
                        A[vm, vo],
                        read(X, vm, T.Cast("int64", channel[ptr[vo // panel] + vk])),
                        values[ptr[vo // panel] + vk, vo % panel],
                    )
        store(A, Y)

    return sparse_linear


def sizes(layer, tile):
    """Return the shapes of X and Y, the rows and panels that are computed, and the channels."""
    lead = tuple(T.int64(v) for v in layer.input)
    rows = T.int64(-(-layer.positions // tile.rows) * tile.rows)
    panels = T.int64(-(-layer.filters // tile.filters))
    channels = T.int64(layer.channels)
    return (*lead, channels), (*lead, T.int64(layer.filters)), rows, panels, channels


def reading(layer):
    """Return a function that reads X; rows that only fill up a tile read the last real row."""
    last, inner = layer.positions - 1, layer.input[-1]

    def read(X, m, k):
        row = T.min(m, last)
        return X[row // inner, row % inner, k] if len(layer.input) == 2 else X[row, k]

    return read


def storing(layer):
    """Return the macro ``store(A, Y)``."""
    lead, filters = [T.int64(v) for v in layer.input], T.int64(layer.filters)

    if len(lead) == 1:

        @T.macro
        def store(A, Y):
            for m, o in T.grid(lead[0], filters):
                with T.sblock("store"):
                    vm, vo = T.axis.remap("SS", [m, o])
                    Y[vm, vo] = A[vm, vo]

        return store

    @T.macro
    def store_nested(A, Y):
        for y, x, o in T.grid(lead[0], lead[1], filters):
            with T.sblock("store"):
                vy, vx, vo = T.axis.remap("SSS", [y, x, o])
                Y[vy, vx, vo] = A[vy * lead[1] + vx, vo]

    return store_nested
