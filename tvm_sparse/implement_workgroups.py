"""Turn layers into TIR functions for GPUs, and the constants that these read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse import chunked, halves, words
from tvm_sparse.algorithms import integer_workgroups, workgroups
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.implement import Implementation
from tvm_sparse.integer import Integers
from tvm_sparse.layer import Layer
from tvm_sparse.workgroup import Workgroup

MARGIN = 0.9  # a sparse kernel must be predicted to take at most this share of the dense time
_FILTERS = (16, 8, 4)  # of an integer block: whole words of the output
Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How a layer is computed by workgroups.

    Parameters
    ----------
    tile : Workgroup
    skips : bool
        Whether zeros are skipped.
    gain : float
        How much less there is to multiply and to load than with every weight.
    """

    tile: Workgroup
    skips: bool
    gain: float = 1.0

    def reason(self, weight: Weight) -> str:
        """Return why zeros of a weight are skipped, or not."""
        if self.skips:
            return f"{self.gain:.1f}× less to multiply and to load"
        return "zeros do not pay" if (weight == 0).any() else "no zeros"


def decide(
    layer: Layer, weight: Weight, sparse: bool = True, sizes: tuple[int, ...] = chunked.FILTERS
) -> Decision | None:
    """Return how to compute a layer, or None if its window is too large for a workgroup.

    Parameters
    ----------
    layer : Layer
    weight : array of shape ``layer.weight``
    sparse : bool
        Whether zeros may be skipped.
    sizes : tuple of int
        How many filters may share their taps.
    """
    whole = chunked.best(layer, np.ones_like(weight), sizes)
    found = chunked.best(layer, weight, sizes)
    if whole is None or found is None:
        return None
    gain = whole[1] / max(found[1], 1.0)
    if sparse and found[1] <= MARGIN * whole[1]:
        return Decision(tile=found[0], skips=True, gain=gain)
    return Decision(tile=whole[0], skips=False, gain=gain)


def floats(layer: Layer, decision: Decision, weight: Weight) -> Implementation:
    """Return the implementation of a layer of floats, or of halves.

    Raises
    ------
    ModelError
        If a weight is too large for a half.
    """
    packed = chunked.pack(layer, decision.tile, weight, every=not decision.skips)
    if layer.dtype == halves.DTYPE:
        packed = replace(packed, values=halves.half(packed.values))
    func = workgroups.product(layer, decision.tile, packed)
    name = f"{'sparse' if decision.skips else 'dense'}_{layer.op}"
    return Implementation(func=func, name=name, constants=packed.arrays)


def decide_integers(layer: Layer, numbers: Integers, sparse: bool = True) -> Decision | None:
    """Return how to compute an integer layer over channels, or None as `decide` does."""
    layer, numbers = _in_whole_words(layer, numbers)
    return decide(words.word_layer(layer), words.packed(layer, numbers.weight), sparse, _FILTERS)


def integers(layer: Layer, decision: Decision, numbers: Integers) -> Implementation:
    """Return the implementation of an integer layer, of `integer_workgroups.product`.

    Parameters
    ----------
    layer : Layer
        Over channels, which are whole words, see `tvm_sparse.words.objection`.
    decision : Decision
        Of `decide_integers`.
    numbers : Integers
    """
    layer, numbers = _in_whole_words(layer, numbers)
    over_words, weight = words.word_layer(layer), words.packed(layer, numbers.weight)
    packed = chunked.pack(over_words, decision.tile, weight, every=not decision.skips)
    func = integer_workgroups.product(over_words, decision.tile, packed, numbers)
    rows = packed.rows(over_words, decision.tile)
    start = np.pad(numbers.start, (0, rows - layer.filters))
    constants = [*packed.arrays, start, _whole(numbers.factor, numbers)]
    if numbers.residual is not None:
        constants.append(_whole(numbers.ratio, numbers))
    name = f"integer_{layer.op}" if numbers.residual is None else f"integer_{layer.op}_add"
    return Implementation(func=func, name=name, constants=tuple(constants))


def _whole(values: Array, numbers: Integers) -> Array:
    """Fill up the last word's filters."""
    fill = 0 if numbers.output is None else -len(values) % words.BYTES
    return np.pad(values, (0, fill))


def _in_whole_words(layer: Layer, numbers: Integers) -> tuple[Layer, Integers]:
    """Return a layer whose blocks of filters lie in one group each.

    Groups of filters that are no whole words become one group, with zeros between them.
    """
    if layer.groups == 1 or layer.depthwise or layer.filters // layer.groups % words.BYTES == 0:
        return layer, numbers
    filters, channels, *kernel = layer.weight
    own = filters // layer.groups
    wide = np.zeros((filters, layer.channels, *kernel), np.int8)
    for group in range(layer.groups):
        rows = slice(group * own, (group + 1) * own)
        wide[rows, group * channels : (group + 1) * channels] = numbers.weight[rows]
    return replace(layer, weight=wide.shape, groups=1), replace(numbers, weight=wide)
