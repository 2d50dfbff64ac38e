"""Row blocks in slices of input channels, whose part of a tile stays in L1.

A filter's taps are spread over all input channels. Of a tile with many channels no vector would
stay in L1 until the next filter reads it. The taps of a few channels, a *slice*, are therefore
added up for one filter after another, then those of the next slice::

    filter 0   slice 0, slice 1, slice 2              slice 0   filter 0, filter 1, …
    filter 1   slice 0, slice 1, slice 2      →       slice 1   filter 0, filter 1, …
    …                                                 slice 2   filter 0, filter 1, …
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tvm_sparse.layer import Layer
from tvm_sparse.rows import RowBlocks


def in_slices(rows: RowBlocks, layer: Layer, channels: int) -> RowBlocks:
    """Return row blocks with the taps of each slice together.

    Parameters
    ----------
    rows : RowBlocks
        In one part.
    layer : Layer
    channels : int
        Input channels of a slice; 0 for a single slice. The last slice may have fewer.
    """
    number = slices_of(layer, channels)
    if number == 1:
        return rows
    block = np.repeat(np.arange(rows.blocks), np.diff(rows.ptr))
    taps = rows.taps[: len(block)] // (layer.kernel[0] * layer.kernel[1])
    part = taps // channels * rows.blocks + block
    order = np.argsort(part, kind="stable")
    ends = np.cumsum(np.bincount(part, minlength=number * rows.blocks))
    return replace(
        rows,
        ptr=np.concatenate([[0], ends]).astype(np.int64),
        taps=rows.taps[order] if len(order) else rows.taps,
        values=rows.values[order] if len(order) else rows.values,
        slices=number,
    )


def slices_of(layer: Layer, channels: int) -> int:
    """Return how many slices of so many channels a group of a layer has; 0 stands for all."""
    return -(-layer.weight[1] // channels) if channels else 1
