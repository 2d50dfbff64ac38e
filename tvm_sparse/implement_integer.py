"""Turn the choice for an integer layer into a TIR function and the constants that it reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse import amx, shares, words
from tvm_sparse.algorithms import amx as amx_algorithm
from tvm_sparse.algorithms import integer, rescale
from tvm_sparse.amx import AmxTile
from tvm_sparse.implement import Implementation
from tvm_sparse.integer import Integers
from tvm_sparse.integer_choice import IntegerChoice
from tvm_sparse.rows import RowBlocks
from tvm_sparse.tile import Tile

Array = npt.NDArray[Any]


def implement(choice: IntegerChoice, numbers: Integers) -> Implementation:
    """Return the implementation of a choice; its function is that of `integer.product`.

    With tiles of AMX, it is that of `tvm_sparse.algorithms.amx.product`.
    """
    layer, rows, plane, tile = choice.layer, choice.rows, choice.kernel.plane, choice.kernel.tile
    assert isinstance(tile, Tile) and plane is not None
    numbers = replace(numbers, dot=choice.dot, by_addition=True, fma=choice.fma)
    tile = shares.chunks(tile, rows.lengths, rows.filters)
    over_words, offsets = words.word_layer(layer), plane.offsets()
    if isinstance(tile, AmxTile):
        func = amx_algorithm.product(over_words, plane, tile, rows, numbers)
        offsets = amx.offsets(over_words, offsets)
    else:
        func = integer.product(over_words, plane, tile, rows, numbers)
    constants = [rows.values, offsets[rows.taps], rows.ptr]
    constants += [_by_row(numbers.start, rows), _factors(numbers, rescale.copies(numbers, tile))]
    if numbers.residual is not None:
        constants.append(_whole(numbers.ratio, numbers))
    name = f"integer_{layer.op}" if numbers.residual is None else f"integer_{layer.op}_add"
    return Implementation(func=func, name=name, constants=tuple(constants))


def _by_row(start: Array, rows: RowBlocks) -> Array:
    """Return what each row begins with; groups of filters are filled up to whole blocks."""
    begun = np.zeros(len(rows.order), np.int32)
    begun[rows.order >= 0] = start[rows.order[rows.order >= 0]]
    return begun


def _factors(numbers: Integers, copies: int) -> Array:
    """Return the factors, with so many copies of each shift in front of them."""
    factor = _whole(numbers.factor, numbers)
    if copies == 0:
        return factor
    return np.concatenate([np.repeat(_whole(numbers.shift, numbers), copies), factor])


def _whole(values: Array, numbers: Integers) -> Array:
    """Fill up the last word's filters."""
    fill = 0 if numbers.output is None else -len(values) % words.BYTES
    return np.pad(values, (0, fill))
