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
