"""Weights in fewer bits than a float, activations in floats: what rounding leaves of them."""

from __future__ import annotations

from tvm_sparse import nibbles, sixteen
from tvm_sparse.layer import Layer
from tvm_sparse.nibbles import Weight
from tvm_sparse.precision import Precision

BITS = (nibbles.BITS, sixteen.BITS)


def fits(layer: Layer, bits: int) -> bool:
    """Whether a layer's weights can have so many bits: 4 are for linear layers alone."""
    return bits != nibbles.BITS or layer.op == "linear"


def rounded(weight: Weight, wanted: Precision) -> Weight:
    """Return the nearest weights that a precision of 16 or 4 bits can say; others as they are.

    Parameters
    ----------
    weight : float array of shape (F, …)
        Zeros stay zeros.
    wanted : Precision
        ``bfloat16``, ``float16`` or ``int4``, whose groups of input channels share scales.

    Raises
    ------
    ModelError
        If a weight is too large for float16.
    """
    if wanted.bits == sixteen.BITS:
        return sixteen.rounded(weight, wanted.name)
    if wanted.name == "int4":
        found = nibbles.integers(weight.reshape(len(weight), -1), wanted.group)
        return found.dense().reshape(weight.shape)
    return weight
