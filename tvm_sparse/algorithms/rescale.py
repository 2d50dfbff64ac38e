# mypy: ignore-errors
"""Scale finished integer sums, and store them in the order of the output."""

from tvm.script import tirx as T

from tvm_sparse.algorithms import rounding
from tvm_sparse.dot import SIGN
from tvm_sparse.integer import MAGIC, Integers
from tvm_sparse.layer import Layer
from tvm_sparse.octets import join4
from tvm_sparse.plane import Plane
from tvm_sparse.tile import Tile
from tvm_sparse.words import BYTES

_LANES = 4  # of vectors whose multiply-adds overwrite what they add to: ARM's
_COPIES = 8


def copies(numbers: Integers, tile: Tile) -> int:
    """Return how many copies of each shift stand in front of the factors; 0 if none are needed.

    A vector of copies that is loaded takes none of the units that multiply, a copied register does.
    """
    if not numbers.fused:
        return 0
    return _COPIES if tile.direct and tile.lanes == _LANES else 1


def places(layer: Layer, plane: Plane, tile: Tile, numbers: Integers):
    """Return where factors and shifts stand in their buffer: of (y, x), a function of a filter.

    Neighbouring lanes read neighbouring copies. Each vector of a register tile begins at another
    one, or the vectors' shifts would be loaded once, and then copied.
    """
    number = copies(numbers, tile)
    first = number * -(-layer.filters // BYTES) * BYTES

    def of(y, x):
        copy = 0
        if number > 1:
            lane = plane.lane_of(y, x)
            copy = lane % _LANES + lane // _LANES % tile.vectors % (number - _LANES + 1)
        return lambda o: (first + o, o * number + copy)

    return of


def scaling(layer: Layer, sums, group_rows: int, numbers: Integers, place=None):
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
    place
        Where factors and shifts stand, see `places`; needed where numbers are fused.
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
        value = _word(numbers, row_of, _scaled(numbers))
    store = _store_matrix if layer.op == "linear" else _store_image
    return store(layer, sums, value, numbers, place or (lambda y, x: None))


def _real(numbers, row_of):
    """Return how a float is computed; `sum_of` returns the sum of a row."""

    def value(sum_of, o, factor, ratio, word, place):
        return rounding.real(sum_of(row_of(o)), numbers.counted) * factor[o]

    return value


def _scaled(numbers):
    """Return how the integer is computed whose lowest byte is that of a sum."""
    low, high = numbers.bounds
    zero = numbers.output.zero - SIGN * numbers.dot.signed
    most, least = 255 - numbers.output.zero, -numbers.output.zero

    def clipped(value, first):
        if not numbers.saturating or high < most:
            value = T.min(value, T.float32(first + high))
        if not numbers.saturating or low > least:
            value = T.max(value, T.float32(first + low))
        return value

    def twice(total, factor, o, place):
        value = clipped(rounding.real(total, numbers.counted) * factor[o], 0)
        return rounding.byte(value, zero, numbers.by_addition)

    def once(total, factor, o, place):
        at_factor, at_shift = place(o)
        value = rounding.fused(total, factor[at_factor], factor[at_shift])
        return T.reinterpret("int32", clipped(value, MAGIC + zero))

    return once if numbers.fused else twice


def _word(numbers, row_of, scaled):
    """Return how the word of four filters is computed; `word` is that of a residual."""
    residual, dot = numbers.residual, numbers.dot
    most = 0 if residual is None else int(256 * numbers.ratio.max()) + 1

    def byte(sum_of, o, j, factor, ratio, word, place):
        total = sum_of(row_of(o))
        if residual is not None:
            steps = T.bitwise_and(T.shift_right(word, T.int32(8 * j)), T.int32(255))
            steps = T.Cast("float32", steps - residual.zero) * ratio[o]
            total = total + rounding.nearest(steps, most, numbers.by_addition)
        return scaled(total, factor, o, place)

    def value(sum_of, w, factor, ratio, word, place):
        if residual is not None and dot.signed:
            word = T.bitwise_xor(word, T.int32(dot.flip))
        found = [byte(sum_of, w * BYTES + j, j, factor, ratio, word, place) for j in range(BYTES)]
        if not numbers.by_addition:
            return rounding.joined(*found)
        return join4(*found, saturating=numbers.saturating)

    return value


def _store_image(layer, sums, value, numbers, place):
    batch, height, width = (T.int64(v) for v in layer.output)
    number = T.int64(_stored(layer, numbers))

    @T.macro
    def store(A, factor, ratio, R, Y):
        for b, o, y, x in T.grid(batch, number, height, width):
            with T.sblock("store"):
                vb, vo, vy, vx = T.axis.remap("SSSS", [b, o, y, x])
                Y[vb, vo, vy, vx] = value(
                    sums(A, vb, vy, vx), vo, factor, ratio, at(R, vb, vo, vy, vx), place(vy, vx)
                )  # fmt: skip

    return store


def _store_matrix(layer, sums, value, numbers, place):
    number, positions = T.int64(_stored(layer, numbers)), T.int64(layer.positions)

    @T.macro
    def store(A, factor, ratio, R, Y):
        for o, x in T.grid(number, positions):
            with T.sblock("store"):
                vo, vx = T.axis.remap("SS", [o, x])
                Y[vo, vx] = value(sums(A, 0, 0, vx), vo, factor, ratio, at(R, vo, vx), place(0, vx))

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
