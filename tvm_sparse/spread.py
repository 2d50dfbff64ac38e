"""The order in which a row block adds up its taps.

Sums may be taken in any order, and caches are asked for lines in that order. Patterns often keep
neighbouring channels together. In ascending order a core's prefetcher sees a stream, follows it
beyond the last of them, and draws lines that no tap reads, in place of those that the next tap
needs. Neighbours are therefore set apart::

    channels   4 5 6 7 36 37 38 39 48 49 50 51
           →   48 49 50 51 4 36 5 37 6 38 7 39          by channel mod 16

Measured on AMD Zen 5, one thread, 80 % zeros in blocks of 4 filters × 4 channels: BERT-base runs
1.22× as fast as with taps in ascending order, ResNet-50 1.04×; in blocks of one channel, 1.00×.
Integer kernels keep ascending order: the channels of a block are one word, and all orders took the
same time within 1 % (by word mod 4, 16, 64).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tvm_sparse.layer import Layer
from tvm_sparse.rows import RowBlocks

_APART = 16  # channels that are neighbours


def spread(rows: RowBlocks, layer: Layer) -> RowBlocks:
    """Return row blocks whose neighbouring channels are not read one after the other.

    The taps of one channel stay together. Single filters keep their order: slices hold what they
    read in L1.

    Parameters
    ----------
    rows : RowBlocks
        In one part.
    layer : Layer
    """
    if rows.filters == 1:
        return rows
    block = np.repeat(np.arange(rows.blocks), rows.lengths)
    channel = rows.taps[: len(block)] // (layer.kernel[0] * layer.kernel[1])
    order = np.lexsort((channel % _APART, block))
    if not len(order):
        return rows
    return replace(rows, taps=rows.taps[order], values=rows.values[order])
