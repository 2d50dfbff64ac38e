"""How long a layer takes in each precision, for plans that choose bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm_sparse import integer_kernel, kernel, nibble_choice, short_weights, words
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
        return sixteen_seconds(floats, 4 * layer.filters * layer.taps, target)
    if wanted.bits == 4:
        if not short_weights.fits(layer, wanted.bits):
            return None
        return nibble_choice.dense_kernel(layer, wanted.group, wanted.name, target).seconds
    return None if words.objection(layer) else _bytes(words.word_layer(layer), target)


def sixteen_seconds(seconds: float, nbytes: float, target: Target) -> float:
    """Return the seconds of a kernel of floats whose weights are stored in sixteen bits instead.

    Memory brings half of the bytes, once, where L2 does not hold them.

    Parameters
    ----------
    seconds : float
        As floats.
    nbytes : float
        Of the weights, as floats.
    target : Target
    """
    streaming = nbytes / (target.gbytes * 1e9) if nbytes > target.l2 else 0.0
    return max(seconds - _HALF * streaming, _HALF * seconds)


def _bytes(layer: Layer, target: Target) -> float:
    """Return the seconds of an integer layer over words."""
    works = [kernel.every_tap(layer, rows) for rows in integer_kernel.ROWS]
    found = (integer_kernel.best(layer, work, words.BYTES, target) for work in works)
    return min(kernel.seconds for kernel in found)
