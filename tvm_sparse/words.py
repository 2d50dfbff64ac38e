"""Four neighbouring channels of one byte each, as one 32-bit word.

Integer kernels multiply words: one instruction multiplies the four bytes of an input, which are
unsigned, by the four of a weight, which are signed, and adds the products to a 32-bit sum. An
integer layer is therefore the float layer over a quarter of the channels: the same planes, tiles,
schedules and lists of taps, with words where the other has floats::

    input    (batch, C, H, W) uint8      →    (batch, ceil(C / 4), H, W) int32
    weight   (F, C, Kh, Kw) int8         →    (F, ceil(C / 4), Kh, Kw) int32

The first channel of a word is its lowest byte; channels that fill up the last word have the
weight 0. A block of N filters × 4 channels becomes N words that share one tap.

A depthwise layer is one of groups of four filters, which share a word; three of the four weights of
each filter's word are 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse.layer import Layer

BYTES = 4  # channels of a word
BITS = 8  # of each of them
Array = npt.NDArray[Any]


def objection(layer: Layer) -> str:
    """Return why a layer's channels cannot be put into words, or an empty string."""
    if layer.depthwise:
        whole = layer.filters == layer.groups and layer.filters % BYTES == 0
        return "" if whole else f"{layer.filters} filters of one channel are no whole words"
    if layer.groups > 1 and layer.weight[1] % BYTES:
        return f"groups of {layer.weight[1]} channels are no whole words of {BYTES}"
    return ""


def word_layer(layer: Layer) -> Layer:
    """Return the layer over words of channels."""
    filters, channels, *kernel = layer.weight
    if layer.depthwise:
        return replace(layer, groups=filters // BYTES, dtype="int8")
    return replace(layer, weight=(filters, -(-channels // BYTES), *kernel), dtype="int8")


def pack(weight: Array) -> npt.NDArray[np.int32]:
    """Return weights (F, C, …) int8 as words (F, ceil(C / 4), …) int32."""
    filters, channels = weight.shape[:2]
    fill = [(0, 0), (0, -channels % BYTES), *[(0, 0)] * (weight.ndim - 2)]
    wide = np.pad(weight, fill).reshape(filters, -1, BYTES, *weight.shape[2:])
    words = np.ascontiguousarray(np.moveaxis(wide, 2, -1)).view("<i4")
    return np.ascontiguousarray(words[..., 0])


def packed(layer: Layer, weight: Array) -> npt.NDArray[np.int32]:
    """Return a layer's int8 weights as those of its `word_layer`."""
    if not layer.depthwise:
        return pack(weight)
    spread = np.zeros((len(weight), BYTES, *weight.shape[2:]), np.int8)
    filters = np.arange(len(weight))
    spread[filters, filters % BYTES] = weight[:, 0]
    return pack(spread)


def repeated(byte: int) -> int:
    """Return the word, as a signed number, whose four bytes are all the same."""
    return int(np.array([byte] * BYTES, np.uint8).view("<i4")[0])
