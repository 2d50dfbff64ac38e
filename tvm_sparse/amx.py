"""AMX: products of two tiles of sixteen rows of sixteen words, by one instruction.

A CPU with AMX has eight tile registers of 16 rows of 64 bytes. ``tdpbsud`` multiplies the signed
bytes of one tile by the unsigned ones of another and adds to a tile of 16 × 16 sums of 32 bits
(Intel, "Intel 64 and IA-32 Architectures Software Developer's Manual", volume 1, chapter 18). Both
tiles are what integer kernels have anyway (`tvm_sparse.words`)::

    weights    16 filters   × 16 words of channels      packed, 1 KiB in a row
    inputs     16 words     × 16 positions              where a plane has them, its rows apart
    sums       16 filters   × 16 positions              int32

A tap is then sixteen words of channels at one position of the kernel, a block 16 filters × 64
channels, and a sparse weight the list of the blocks of every 16 filters. Channels and filters that
fill up a tile have the weight 0.

``tdpbf16ps`` does the same with words of two bfloat16 and sums of floats. Linear layers of pairs
(`tvm_sparse.pairs`) keep their rows as they are: 16 rows × 16 words of inputs are the left tile,
16 words × 16 filters of weights the right one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse.layer import Layer
from tvm_sparse.rows import RowBlocks, from_matrix, join
from tvm_sparse.tile import PanelTile, Tile
from tvm_sparse.words import BYTES

SIDE = 16  # rows of a tile, and words of a row
REGISTERS = 8
CHANNELS = SIDE * BYTES  # of a tile of weights
Array = npt.NDArray[Any]


class AmxTile(Tile):
    """The cuts of a kernel whose register tile is `filters` / 16 by `vectors` tiles of AMX."""

    def __str__(self) -> str:
        """Return e.g. ``16 filters × 96 positions in tiles of AMX``."""
        return f"{self.filters} filters × {self.vectors * SIDE} positions in tiles of AMX"


class AmxPanelTile(PanelTile):
    """The cuts of a linear kernel whose register tile is `rows` / 16 by `filters` / 16 tiles."""

    def __str__(self) -> str:
        """Return e.g. ``32 rows × 32 filters in tiles of AMX``."""
        return f"{self.rows} rows × {self.filters} filters in tiles of AMX"


def groups(layer: Layer) -> int:
    """Return the tiles of channels of a layer over words."""
    return -(-layer.weight[1] // SIDE)


def row_blocks(layer: Layer, packed: Array, keep: Array, filters: int) -> RowBlocks:
    """Return the tiles of weights that hold a word that is kept; one at least.

    Parameters
    ----------
    layer : Layer
        Over words.
    packed, keep : arrays of the layer's weight's shape
        The words, and which of them are stored.
    filters : int
        P, the filters that share their tiles, a multiple of 16.

    Returns
    -------
    RowBlocks
        Values have the shape (n, P, 16), taps are numbered ``group * Kh * Kw + kh * Kw + kw``,
        groups of sixteen words of channels.
    """
    stored = keep.copy()
    if not stored.any():
        stored[(0,) * stored.ndim] = True  # TIR has no empty buffers
    parts = zip(np.split(packed, layer.groups), np.split(stored, layer.groups), strict=True)
    found = [_tiles(_in_groups(part), _in_groups(some), filters) for part, some in parts]
    return join(found, layer.filters // layer.groups)


def offsets(layer: Layer, word_offsets: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return where each tap's first word of channels stands, of where each word's tap does."""
    first: npt.NDArray[np.int32] = word_offsets.reshape(layer.weight[1], -1)[::SIDE].reshape(-1)
    return first


def _in_groups(words: Array) -> Array:
    """Return words (F, W, …) as (F, taps, 16)."""
    filters, number, *_ = words.shape
    flat = words.reshape(filters, number, -1)
    filled = np.pad(flat, ((0, 0), (0, -number % SIDE), (0, 0)))
    split = filled.reshape(filters, -1, SIDE, flat.shape[2]).transpose(0, 1, 3, 2)
    return split.reshape(filters, -1, SIDE)


def _tiles(words: Array, keep: Array, filters: int) -> RowBlocks:
    """Return the row blocks of one group of convolution."""
    some: Any = keep.any(axis=2)
    rows = from_matrix(some, some, filters)
    filled = np.pad(np.where(keep, words, 0), ((0, -len(words) % filters), (0, 0), (0, 0)))
    block = np.repeat(np.arange(rows.blocks), rows.lengths)
    blocks = filled.reshape(rows.blocks, filters, -1, SIDE)
    return replace(rows, values=np.ascontiguousarray(blocks[block, :, rows.taps]))
