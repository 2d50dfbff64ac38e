"""How long a layer takes in each precision, for plans that choose bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm_sparse import integer_kernel, kernel, nibble_choice, words
from tvm_sparse.layer import Layer
from tvm_sparse.precision import Precision

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

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
    works = [kernel.every_tap(layer, rows) for rows in integer_kernel.ROWS]
    found = (integer_kernel.best(layer, work, words.BYTES, target) for work in works)
    return min(kernel.seconds for kernel in found)


def _streaming(layer: Layer, target: Target) -> float:
    """Return the seconds in which memory brings weights of 32 bits, once; 0 if L2 holds them."""
    nbytes = 4 * layer.filters * layer.taps
    return nbytes / (target.gbytes * 1e9) if nbytes > target.l2 else 0.0
