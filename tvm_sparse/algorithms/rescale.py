# mypy: ignore-errors
"""Scale finished integer sums, and store them in the order of the output."""

from tvm.script import tirx as T

from tvm_sparse.algorithms import rounding
from tvm_sparse.dot import SIGN
from tvm_sparse.integer import Integers
from tvm_sparse.layer import Layer
from tvm_sparse.octets import join4
from tvm_sparse.plane import Plane
from tvm_sparse.words import BYTES


def scaling(layer: Layer, sums, group_rows: int, numbers: Integers):
    """Return the macro ``store(A, factor, ratio, R, Y)``.

    Parameters
    ----------
    layer : Layer
    sums
        Of (A, batch, y, x): returns a function of a row, its sum at that position.
    group_rows : int
        Rows that each group of filters fills in A.
    numbers : Integers
        Whether floats or words are stored, and what is added to the sums before.
    """
    group = layer.filters // layer.groups

    def row_of(o):
        if group == group_rows or layer.groups == 1:
            return o
        o = T.min(o, layer.filters - 1)  # bytes that fill up the last word
        return o // group * group_rows + o % group

    if numbers.output is None:
        value = _real(numbers, row_of)
    else:
        value = _word(numbers, row_of)
    return (_store_matrix if layer.op == "linear" else _store_image)(layer, sums, value, numbers)


def _real(numbers, row_of):
    """Return how a float is computed; `sum_of` returns the sum of a row."""

    def value(sum_of, o, factor, ratio, word):
        return rounding.real(sum_of(row_of(o)), numbers.counted) * factor[o]

    return value


def _word(numbers, row_of):
    """Return how the word of four filters is computed; `word` is that of a residual."""
    low, high = numbers.bounds
    zero, residual, dot = numbers.output.zero, numbers.residual, numbers.dot
    saturating = numbers.saturating
    most = 0 if residual is None else int(256 * numbers.ratio.max()) + 1

    def byte(sum_of, o, j, factor, ratio, word):
        total = sum_of(row_of(o))
        if residual is not None:
            steps = T.bitwise_and(T.shift_right(word, T.int32(8 * j)), T.int32(255))
            steps = T.Cast("float32", steps - residual.zero) * ratio[o]
            total = total + rounding.nearest(steps, most, numbers.by_addition)
        scaled = rounding.real(total, numbers.counted) * factor[o]
        if not saturating or high < 255 - zero:
            scaled = T.min(scaled, T.float32(high))
        if not saturating or low > -zero:
            scaled = T.max(scaled, T.float32(low))
        return rounding.byte(scaled, zero - SIGN * dot.signed, numbers.by_addition)

    def value(sum_of, w, factor, ratio, word):
        if residual is not None and dot.signed:
            word = T.bitwise_xor(word, T.int32(dot.flip))
        found = [byte(sum_of, w * BYTES + j, j, factor, ratio, word) for j in range(BYTES)]
        if not numbers.by_addition:
            return rounding.joined(*found)
        return join4(*found, saturating=saturating)

    return value


def _store_image(layer, sums, value, numbers):
    batch, height, width = (T.int64(v) for v in layer.output)
    number = T.int64(_stored(layer, numbers))

    @T.macro
    def store(A, factor, ratio, R, Y):
        for b, o, y, x in T.grid(batch, number, height, width):
            with T.sblock("store"):
                vb, vo, vy, vx = T.axis.remap("SSSS", [b, o, y, x])
                Y[vb, vo, vy, vx] = value(
                    sums(A, vb, vy, vx), vo, factor, ratio, at(R, vb, vo, vy, vx)
                )

    return store


def _store_matrix(layer, sums, value, numbers):
    number, positions = T.int64(_stored(layer, numbers)), T.int64(layer.positions)

    @T.macro
    def store(A, factor, ratio, R, Y):
        for o, x in T.grid(number, positions):
            with T.sblock("store"):
                vo, vx = T.axis.remap("SS", [o, x])
                Y[vo, vx] = value(sums(A, 0, 0, vx), vo, factor, ratio, at(R, vo, vx))

    return store


def sums_of(plane: Plane):
    """Return the sums of a plane's tiles, as `scaling` reads them."""

    def sums(A, b, y, x):
        return lambda row: A[b, plane.tile_of(y, x), row, plane.lane_of(y, x)]

    return sums


def at(R, *indices):
    """Return an element of a buffer, or None where there is none."""
    return None if R is None else R[indices]


def _stored(layer, numbers):
    """Return how many words, or floats, an output position has."""
    return layer.filters if numbers.output is None else -(-layer.filters // BYTES)
