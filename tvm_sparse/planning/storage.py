"""About how many bytes a layer takes under a scheme, and how many weights go together."""

from __future__ import annotations

import math

from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme

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
    """Return the bytes of the kept weights, and of an index of 4 bytes for those kept together."""
    weights = math.prod(layer.weight)
    values = weights * scheme.density * scheme.bits / 8
    if scheme.format == "dense":
        return round(values)
    return round(values + 4 * weights * scheme.density / together(layer, scheme))
