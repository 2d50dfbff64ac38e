# mypy: ignore-errors
"""Linear layers over words of two bfloat16 channels; filters stand in vector lanes.

Two blocks a kernel, the sums floats::

    product  A[row, filter] = Σ over words: X[row, word] · W[word, filter], two products each
    store    Y[row, filter] = A[row, filter]
"""

from tvm import te, tirx

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
    return filters.dense(layer, tile, "int32", dot2)


def sparse(layer: Layer, tile: PanelTile, row_blocks: RowBlocks):
    """Return the algorithm over row blocks of `tile.filters` filters; parameters as `dense`.

    Returns
    -------
    PrimFunc
        Of (X int32, values (taps, tile.filters) int32, word (taps,) int32,
        ptr (panels + 1,) int64, Y).
    """
    return filters.sparse(layer, tile, row_blocks, "int32", dot2)


def joined(x: te.Tensor):
    """Return floats (…, C) as words (…, ceil(C / 2)) of two bfloat16, rounded to the nearest."""
    *lead, channels = x.shape

    def upper(*index):
        found = upper_half(x(*index))
        if int(channels) % 2:
            return tirx.if_then_else(index[-1] < channels, found, _number(0))
        return found

    def word(*index):
        *rows, k = index
        return both(upper(*rows, 2 * k), upper(*rows, 2 * k + 1))

    return te.compute((*lead, (channels + 1) // 2), word, name="pairs")


def upper_half(value):
    """Return the bits of a float that is rounded to bfloat16, a uint32 below 2¹⁶."""
    bits = tirx.reinterpret("uint32", value)
    odd = tirx.bitwise_and(tirx.shift_right(bits, _number(16)), _number(1))
    return tirx.shift_right(bits + _number(0x7FFF) + odd, _number(16))


def both(low, high):
    """Return the word of two bfloat16, given as their bits."""
    word = tirx.bitwise_or(low, tirx.shift_left(high, _number(16)))
    return tirx.reinterpret("int32", word)


def _number(value):
    return tirx.const(value, "uint32")
