"""How long a layer takes in each precision, for plans that choose bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm_sparse import kernel, nibble_choice, words
from tvm_sparse.layer import Layer
from tvm_sparse.precision import Precision

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

_ROWS = (8, 4)  # filters of a register tile of words
_HALF = 0.5  # of the bytes that memory brings, with weights of sixteen bits


def dense_seconds(layer: Layer, wanted: Precision, target: Target) -> float | None:
    """Predict the time of a layer's dense kernel with weights in a precision.

    Returns
    -------
    float or None
        Seconds; None where the layer cannot have so many bits: 4 if it is not linear, 8 if its
        channels are no whole words.
    """
    floats = kernel.dense(layer, target).seconds
    if wanted.bits == 32:
        return floats
    if wanted.bits == 16:
        return max(floats - _HALF * _streaming(layer, target), _HALF * floats)
    if wanted.bits == 4:
        if layer.op != "linear":
            return None
        return nibble_choice.dense_kernel(layer, wanted.group, wanted.name, target).seconds
    return None if words.objection(layer) else _bytes(words.word_layer(layer), target)


def _bytes(layer: Layer, target: Target) -> float:
    """Return the seconds of an integer layer over words."""
    if layer.depthwise:
        return kernel.dense(layer, target).seconds
    work = kernel.every_tap(layer, _ROWS[0])
    return kernel.tiles(layer, work, target, _ROWS).seconds


def _streaming(layer: Layer, target: Target) -> float:
    """Return the seconds in which memory brings weights of 32 bits, once; 0 if L2 holds them."""
    nbytes = 4 * layer.filters * layer.taps
    return nbytes / (target.gbytes * 1e9) if nbytes > target.l2 else 0.0
