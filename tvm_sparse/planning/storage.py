"""About how many bytes a layer takes under a scheme, and how many weights go together."""

from __future__ import annotations

import math

from tvm_sparse import nibbles, sixteen, words
from tvm_sparse.layer import Layer
from tvm_sparse.precision import GROUP
from tvm_sparse.scheme import Scheme

_BLOCK = 8 * words.BYTES  # int8 weights that share an index
_BOXES = {"block", "block_punched", "one_by_n"}


def together(layer: Layer, scheme: Scheme) -> int:
    """Return how many weights a scheme keeps or removes together."""
    if scheme.format == "channel":
        return math.prod(layer.weight) // layer.weight[1]
    if scheme.format not in _BOXES:
        return 1
    kernel = math.prod(layer.kernel) if scheme.format == "one_by_n" else 1
    return math.prod(scheme.block) * kernel


def stored_nbytes(layer: Layer, scheme: Scheme) -> int:
    """Return the bytes of the kept weights, and of an index of 4 bytes for those kept together.

    Dense convolutions of 16 bits have an index for each tap that all filters share. Weights of 4
    bits have a float besides for each group that shares a scale. Those of 8 bits are whole words of
    channels, blocks of 8 filters at least with an index for each word, also where all are kept, and
    two numbers a filter: its bias and its scale.
    """
    if scheme.bits == words.BITS:
        return _of_words(layer, scheme)
    weights = math.prod(layer.weight)
    values = weights * scheme.density * scheme.bits / 8
    if scheme.bits == nibbles.BITS:
        values += 4 * layer.filters * math.ceil(layer.channels / GROUP)
    if scheme.format == "dense":
        taps = layer.taps if scheme.bits == sixteen.BITS and layer.op == "conv2d" else 0
        return round(values) + 4 * taps
    return round(values + 4 * weights * scheme.density / together(layer, scheme))


def _of_words(layer: Layer, scheme: Scheme) -> int:
    """Return the bytes of an int8 layer: those of every word where an index each takes more."""
    filters, channels, *kernel = layer.weight
    weights = filters * math.ceil(channels / words.BYTES) * words.BYTES * math.prod(kernel)
    dense = weights * (1 + 4 / _BLOCK)
    sparse = weights * scheme.density * (1 + 4 / together(layer, scheme))
    least = dense if scheme.format == "dense" else min(dense, sparse)
    return round(least + 8 * filters)
