"""Sparse weights in windows: every filter keeps a few inputs of each run of neighbouring channels.

Filters stand in vector lanes. One load brings a *window*, as many neighbouring channels as a vector
has lanes, and one permutation gives each lane the channel that its filter needs next, so that
filters need not share any taps. That pays where all filters keep about equally many weights of a
window, as in N:M sparsity (Mishra et al., "Accelerating Sparse Deep Neural Networks",
arXiv 2104.08378).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse.tile import WindowTile

BITS = 4  # of a lane's index: windows have 16 channels at most
PER_WORD = 8  # indices of a lane in 32 bits


@dataclass(frozen=True, kw_only=True)
class Windows:
    """A weight, window by window and slot by slot; a *slot* is one weight of each filter.

    Slot ``s`` of window ``w`` multiplies, for filter ``f``, ``values[w * slots + s, f]`` with the
    channel ``start(w) + index``. The last windows begin earlier where they would reach beyond the
    channels, and repeat none of their weights.

    Parameters
    ----------
    values : array of shape (panels, slots of all windows, P)
        Zeros where a filter keeps fewer.
    words : int32 array of shape (panels, words, P)
        Eight indices a word, the first in the lowest bits; each step begins a word.
    """

    values: npt.NDArray[np.floating]
    words: npt.NDArray[np.int32]


def slots(nonzero: npt.NDArray[np.bool_], lanes: int) -> int:
    """Return the most non-zeros that a filter of a (F, C) weight has in one window, at least 1."""
    filters, channels = nonzero.shape
    padded = np.pad(nonzero, ((0, 0), (0, -channels % lanes)))
    return max(int(padded.reshape(filters, -1, lanes).sum(axis=2).max(initial=0)), 1)


def pack(weight: npt.NDArray[np.floating], tile: WindowTile) -> Windows:
    """Store a weight for a kernel; panels and steps are filled up.

    Parameters
    ----------
    weight : array of shape (F, C), C >= tile.lanes
        Of at most `tile.slots` non-zeros a window.
    tile : WindowTile
    """
    channels, lanes = weight.shape[1], tile.lanes
    panels, windows = -(-len(weight) // tile.filters), -(-channels // lanes)
    steps = -(-windows // tile.step)
    values = np.zeros((panels * tile.filters, steps * tile.step, tile.slots), weight.dtype)
    index = np.zeros(values.shape, np.uint32)
    filter_, channel = np.nonzero(weight)
    window = channel // lanes
    slot = _rank(filter_ * windows + window)
    values[filter_, window, slot] = weight[filter_, channel]
    index[filter_, window, slot] = channel - np.minimum(window * lanes, channels - lanes)
    return Windows(values=_panels(values, panels), words=_panels(_words(index, steps), panels))


def _rank(group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the place of each element among neighbours of the same group."""
    first = np.searchsorted(group, group)
    return np.arange(len(group)) - first


def _words(index: npt.NDArray[np.uint32], steps: int) -> npt.NDArray[np.int32]:
    """Return the (F, steps, words) that hold the indices of each step."""
    flat = index.reshape(len(index), steps, -1)
    padded = np.pad(flat, ((0, 0), (0, 0), (0, -flat.shape[2] % PER_WORD)))
    places = np.arange(PER_WORD, dtype=np.uint32) * BITS
    shifted = padded.reshape(len(index), steps, -1, PER_WORD) << places
    words: npt.NDArray[np.uint32] = np.bitwise_or.reduce(shifted, axis=3)
    return words.view(np.int32)


def _panels(array: npt.NDArray[Any], panels: int) -> npt.NDArray[Any]:
    """Return (F, ...) as (panels, everything of a filter, filters of a panel)."""
    flat = array.reshape(panels, len(array) // panels, -1)
    return np.ascontiguousarray(flat.transpose(0, 2, 1))
