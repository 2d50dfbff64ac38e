"""How an integer layer is computed: which filters share their taps, and by which kernel.

A block of N filters × 4 channels is one tap of N words. Filters of register tiles are 8 or 4, so
that their results are whole words; blocks are found by the cost formula, over words, as for
floats. Where skipping is not predicted to pay, every word is a tap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tvm_sparse import kernel, narrow, words
from tvm_sparse.choose import find
from tvm_sparse.cost import Work
from tvm_sparse.dot import Dot
from tvm_sparse.integer import Integers
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.rows import RowBlocks, from_matrix, join
from tvm_sparse.scheme import Scheme
from tvm_sparse.tile import Tile

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

BITS = 8
_BLOCKS = (16, 8, 4)  # filters that may share their taps
_ROWS = (8, 4)  # filters of a register tile
_MARGIN = 0.95  # a sparse kernel must be predicted to take at most this share of the dense time


@dataclass(frozen=True, kw_only=True)
class IntegerChoice:
    """How one integer layer will be computed, and why.

    Parameters
    ----------
    layer : Layer
        Over channels, not words.
    found : Scheme
        The tightest description of the weight's zeros.
    used : Scheme
        How the weight is stored.
    rows : RowBlocks
        The weight in words, as the kernel reads it.
    kernel, dense : Kernel
        Over words; `dense` multiplies every word.
    reason : str
    dot : Dot
        How the target multiplies words.
    """

    layer: Layer
    found: Scheme
    used: Scheme
    rows: RowBlocks
    kernel: Kernel
    dense: Kernel
    reason: str
    dot: Dot

    @property
    def is_sparse(self) -> bool:
        """Whether zeros are skipped."""
        return self.used.format != "dense"

    @property
    def stored(self) -> str:
        """Return e.g. ``block_punched-8x4@0.2/8``."""
        return str(self.used)


def choose(
    numbers: Integers, layer: Layer, target: Target, sparse: bool = True, block: int | None = None
) -> IntegerChoice:
    """Decide how to compute an integer layer.

    Parameters
    ----------
    numbers : Integers
    layer : Layer
        Whose channels are whole words, see `tvm_sparse.words.objection`.
    target : Target
    sparse : bool
        Whether zeros may be skipped.
    block : int, optional
        Filters that share their taps, by default those that the cost formula likes best.
    """
    packed = words.packed(layer, numbers.weight)
    every = np.ones(packed.shape, bool)
    word = 1 if numbers.output is None else words.BYTES
    sizes = _BLOCKS if block is None else (block,)
    dense = min((_way(layer, packed, every, size, word, target) for size in sizes[-2:]), key=_time)
    found = pattern(layer, numbers.weight)
    stay = Scheme(format="dense", bits=BITS)
    chosen = partial(IntegerChoice, layer=layer, found=found, dense=dense[1], dot=target.dot)
    if packed.all() or not sparse:
        reason = "no words without weights" if sparse else "zeros not to be used"
        return chosen(used=stay, rows=dense[0], kernel=dense[1], reason=reason)
    ways = {size: _way(layer, packed, packed != 0, size, word, target) for size in sizes}
    size = min(ways, key=lambda size: _time(ways[size]))
    gain = _time(dense) / _time(ways[size])
    if gain * _MARGIN < 1 and block is None:
        zeros = 1 - float(np.count_nonzero(packed) / packed.size)
        reason = f"{zeros:.0%} of the words zero would run {gain:.2f}× as fast as dense"
        return chosen(used=stay, rows=dense[0], kernel=dense[1], reason=reason)
    shape = (size, words.BYTES)
    used = Scheme(format="block_punched", block=shape, density=found.density, bits=BITS)
    reason = f"predicted {gain:.1f}× as fast as dense int8"
    return chosen(used=used, rows=ways[size][0], kernel=ways[size][1], reason=reason)


def pattern(layer: Layer, weight: npt.NDArray[Any]) -> Scheme:
    """Return the tightest description of the zeros of an int8 weight.

    Small weights of a block become zeros when they are rounded to bytes: where words tell of
    blocks, these are the pattern.
    """
    found = find(weight)
    if not layer.depthwise:
        packed = words.packed(layer, weight)
        whole = np.repeat(packed != 0, words.BYTES, axis=1)[:, : weight.shape[1]]
        blocks = find(whole)
        found = found if blocks.format == "unstructured" or whole.all() else blocks
    return replace(found, bits=BITS)


_Way = tuple[RowBlocks, Kernel]


def _time(way: _Way) -> float:
    return way[1].seconds


def _way(
    layer: Layer,
    packed: npt.NDArray[Any],
    keep: npt.NDArray[np.bool_],
    filters: int,
    word: int,
    target: Target,
) -> _Way:
    """Return the row blocks of so many filters, and the best kernel over them."""
    over_words = words.word_layer(layer)
    rows = narrow.taps(_row_blocks(over_words, packed, keep, filters), target.dot)
    work = Work(blocks=rows.blocks, taps=len(rows.taps), filters=filters)
    best = kernel.tiles(over_words, work, _with_room(target), _ROWS)
    assert isinstance(best.tile, Tile) and best.plane is not None
    across = best.plane.length // best.tile.lanes
    last = (across - 1) % best.tile.vectors + 1
    return rows, replace(best, tile=replace(best.tile, tail=0, last=last, word=word))


def _with_room(target: Target) -> Target:
    """Return the target with fewer registers where products take some before they are added."""
    return replace(target, registers=target.registers * 3 // 4) if target.dot.narrow else target


def _row_blocks(
    layer: Layer, packed: npt.NDArray[Any], keep: npt.NDArray[np.bool_], filters: int
) -> RowBlocks:
    """Return the words of weights as row blocks, groups one after another; never without taps."""
    stored = keep.copy()
    if not stored.any():
        stored[(0,) * stored.ndim] = True  # TIR has no empty buffers
    groups = zip(np.split(packed, layer.groups), np.split(stored, layer.groups), strict=True)
    parts = [
        from_matrix(part.reshape(len(part), -1), some.reshape(len(part), -1), filters)
        for part, some in groups
    ]
    return join(parts, layer.filters // layer.groups)
