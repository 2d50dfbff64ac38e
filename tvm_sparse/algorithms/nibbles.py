# mypy: ignore-errors
"""Linear layers whose weights are codes of four bits; filters stand in vector lanes.

Two blocks a kernel, a word of eight codes a step::

    product  A[row, filter] = Σ over words: scale × Σ over 8 codes: number of the code × X[row, …]
    store    Y[row, filter] = A[row, filter]

Where groups have zero points, a number is multiplied with its scale, and ``zero × scale`` taken
away, before it meets the inputs: rows are many, and the inputs' sum would cost each of them.

The number of a code comes out of a table of sixteen, which `relay_passes` keeps in a register where
the target has a permutation of sixteen lanes; elsewhere it is computed from the code's bits.
"""

from tvm.script import tirx as T

from tvm_sparse.algorithms import filters
from tvm_sparse.layer import Layer
from tvm_sparse.nibble_rows import NibbleRows
from tvm_sparse.nibbles import BITS, PER_WORD
from tvm_sparse.tile import NibbleTile


def dense(layer: Layer, tile: NibbleTile, zeros: bool = False):
    """Return the algorithm over all channels.

    Parameters
    ----------
    layer, tile
        What to compute; how its loops are cut.
    zeros : bool
        Whether groups have zero points.

    Returns
    -------
    PrimFunc
        Of (X, words (panels, words, tile.filters) int32, scale (panels, groups, tile.filters)
        float32, table (16,) float32, Y); the last word of a filter may reach beyond the channels.
        With zero points there are twice as many scales, see `tvm_sparse.nibbles.Nibbles.steps`.
    """
    x_shape, y_shape, rows, panels, channels = filters.sizes(layer, tile)
    panel, per, words = T.int64(tile.filters), tile.group, -(-layer.channels // PER_WORD)
    groups = T.int64(-(-words // per) * (1 + zeros))
    words, ragged = T.int64(words), layer.channels % PER_WORD
    read, store, attrs = filters.reading(layer), filters.storing(layer), tile.annotation
    total = _total(tile, zeros)

    def product(X, table, words_, scale, m, o, k):
        def at(j):
            channel = k * PER_WORD + j
            return read(X, m, T.min(channel, channels - 1) if ragged else channel)

        def step(part):
            return scale[o // panel, k // per * (1 + zeros) + part, o % panel]

        return total(table, words_[o // panel, k, o % panel], at, step)

    @T.prim_func(s_tir=True, private=True)
    def dense_linear(
        X: T.Buffer(x_shape, "float32"),
        words_: T.Buffer((panels, words, panel), "int32"),
        scale: T.Buffer((panels, groups, panel), "float32"),
        table: T.Buffer((16,), "float32"),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        A = T.sblock_alloc_buffer((rows, panels * panel))
        for m, o, k in T.grid(rows, panels * panel, words):
            with T.sblock("product"):
                vm, vo, vk = T.axis.remap("SSR", [m, o, k])
                T.writes(A[vm, vo])
                T.sblock_attr({"tvm_sparse.nibbles": attrs})
                with T.init():
                    A[vm, vo] = T.float32(0)
                A[vm, vo] = A[vm, vo] + product(X, table, words_, scale, vm, vo, vk)
        store(A, Y)

    return dense_linear


def sparse(layer: Layer, tile: NibbleTile, stored: NibbleRows, zeros: bool = False):
    """Return the algorithm over panels of filters that share a list of channels; see `dense`.

    Returns
    -------
    PrimFunc
        Of (X, words (n, tile.filters) int32, scale (panels, groups, tile.filters) float32,
        table (16,) float32, channel (n * 8,) int32, group (n,) int32, ptr (panels + 1,) int64, Y).
    """
    x_shape, y_shape, rows, panels, _ = filters.sizes(layer, tile)
    panel, words, groups = (T.int64(v) for v in (tile.filters, *stored.sizes))
    longest, listed = T.int64(stored.longest), T.int64(PER_WORD * stored.sizes[0])
    read, store, attrs = filters.reading(layer), filters.storing(layer), tile.annotation
    total = _total(tile, zeros)

    def product(X, table, words_, scale, channel, group, m, o, k):
        def at(j):
            return read(X, m, T.Cast("int64", channel[k * PER_WORD + j]))

        def step(part):
            return scale[o // panel, T.Cast("int64", group[k]) * (1 + zeros) + part, o % panel]

        return total(table, words_[k, o % panel], at, step)

    @T.prim_func(s_tir=True, private=True)
    def sparse_linear(
        X: T.Buffer(x_shape, "float32"),
        words_: T.Buffer((words, panel), "int32"),
        scale: T.Buffer((panels, groups, panel), "float32"),
        table: T.Buffer((16,), "float32"),
        channel: T.Buffer((listed,), "int32"),
        group: T.Buffer((words,), "int32"),
        ptr: T.Buffer((panels + 1,), "int64"),
        Y: T.Buffer(y_shape, "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "op_pattern": 4})
        A = T.sblock_alloc_buffer((rows, panels * panel))
        for m, o, k in T.grid(rows, panels * panel, longest):
            with T.sblock("product"):
                vm, vo, vk = T.axis.remap("SSR", [m, o, k])
                T.writes(A[vm, vo])
                T.sblock_attr({"tvm_sparse.nibbles": attrs})
                with T.init():
                    A[vm, vo] = T.float32(0)
                if vk < ptr[vo // panel + 1] - ptr[vo // panel]:
                    A[vm, vo] = A[vm, vo] + product(
                        X, table, words_, scale, channel, group, vm, vo, ptr[vo // panel] + vk
                    )
        store(A, Y)

    return sparse_linear


def _total(tile, zeros):
    """Return a function of (table, word, inputs, scales): what a word adds to its filter's sum."""
    number = _looked_up if tile.permute else _COMPUTED[tile.code]

    def total(table, word, read, step):
        numbers = [number(table, word, j * BITS) for j in range(PER_WORD)]
        if zeros:  # as weights, once for all rows
            numbers = [each * step(0) + step(1) for each in numbers]
        found = numbers[0] * read(0)
        for j in range(1, PER_WORD):
            found = found + numbers[j] * read(j)
        return found if zeros else found * step(0)

    return total


def _looked_up(table, word, place):
    return table[T.Cast("int64", _code(word, place))]


def _code(word, place):
    return T.bitwise_and(T.shift_right(word, T.int32(place)), T.int32(15))


def _integer(table, word, place):
    """Shift a code to the top of the word, and back with its sign."""
    top = T.shift_left(word, T.int32(32 - BITS - place))
    return T.Cast("float32", T.shift_right(top, T.int32(32 - BITS)))


def _power(table, word, place):
    """Put a code's sign and exponent where a float has them."""
    code = _code(word, place)
    exponent = T.bitwise_and(code, T.int32(7))
    sign = T.shift_left(T.bitwise_and(code, T.int32(8)), T.int32(28))
    bits = T.bitwise_or(sign, T.shift_left(exponent + T.int32(120), T.int32(23)))
    return T.Select(exponent > 0, T.reinterpret("float32", bits), T.float32(0))


_COMPUTED = {"int4": _integer, "power_of_two": _power}
