"""What is left of a weight that a scheme prunes and rounds."""

from __future__ import annotations

import numpy as np

from tvm_sparse import formats, short_weights
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.precision import Precision
from tvm_sparse.scheme import Scheme


def changed(weight: Weight, scheme: Scheme) -> Weight:
    """Return a weight after magnitude pruning and rounding to the scheme's bits.

    Parameters
    ----------
    weight : float array of shape (F, …)
    scheme : Scheme
        Of 32 bits, nothing is rounded.
    """
    return rounded(np.where(kept(weight, scheme), weight, 0), scheme.bits)


def kept(weight: Weight, scheme: Scheme) -> Weight:
    """Return which weights magnitude pruning keeps, a bool array of the weight's shape."""
    found = formats.get(scheme.format).mask(np.abs(weight), scheme.density, scheme.block)
    return np.array(found)  # its own memory, which may be written


def rounded(weight: Weight, bits: int) -> Weight:
    """Return a weight in fewer bits, as `tvm_sparse.quantize` rounds it.

    16 are bfloat16, 4 int4 by groups; else it is on a grid of 2ᵇ - 1 values for each filter.
    """
    if bits == 32:
        return weight
    if bits in short_weights.BITS:
        return short_weights.rounded(weight, Precision.parse(bits))
    most = 2 ** (bits - 1) - 1
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scale = np.where(largest > 0, largest / most, 1).reshape(-1, *[1] * (weight.ndim - 1))
    return np.asarray(np.rint(weight / scale) * scale, weight.dtype)
