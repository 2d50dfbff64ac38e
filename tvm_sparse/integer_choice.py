"""How an integer layer is computed: which filters share their taps, and by which kernel.

A block of N filters × 4 channels is one tap of N words. Filters of register tiles are 8 or 4, so
that their results are whole words; blocks are found by the cost formula, over words, as for
floats. Where skipping is not predicted to pay, every word is a tap. On a CPU with AMX, a tap may
also be a tile of 16 filters × 64 channels (`tvm_sparse.amx`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tvm_sparse import amx, amx_kernel, integer_kernel, narrow, words
from tvm_sparse.amx import AmxTile
from tvm_sparse.choose import find
from tvm_sparse.cost import Work
from tvm_sparse.dot import Dot
from tvm_sparse.integer import Integers
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.rows import RowBlocks, from_matrix, join
from tvm_sparse.scheme import Scheme

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

BITS = 8
_BLOCKS = (16, 8, 4)  # filters that may share their taps
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
    fma : bool
        Whether the target has fused multiply-adds.
    works : dict of (bool, int) to Work
        How the weight may be stored, and what a kernel multiplies then: whether words without
        weights are left out, and how many filters share their taps.
    """

    layer: Layer
    found: Scheme
    used: Scheme
    rows: RowBlocks
    kernel: Kernel
    dense: Kernel
    reason: str
    dot: Dot
    fma: bool
    works: dict[tuple[bool, int], Work] = field(default_factory=dict, compare=False, repr=False)

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
    sizes = _BLOCKS if block is None else (block,)
    whole = {size: _way(numbers, layer, size, target, skips=False) for size in sizes[-2:]}
    in_tiles = partial(_in_tiles, numbers, layer, target if block is None else None)
    dense = min([*whole.values(), *in_tiles(skips=False)], key=_time)
    found = pattern(layer, numbers.weight)
    stay = Scheme(format="dense", bits=BITS)
    chosen = partial(
        IntegerChoice,
        layer=layer,
        found=found,
        dense=dense[1],
        dot=target.dot,
        fma=target.has_fma,
    )
    if packed.all() or not sparse:
        reason = "no words without weights" if sparse else "zeros not to be used"
        works = _works(whole, {})
        return chosen(used=stay, rows=dense[0], kernel=dense[1], reason=reason, works=works)
    ways = {size: _way(numbers, layer, size, target) for size in sizes}
    chosen = partial(chosen, works=_works(whole, ways))
    best = min([*ways.values(), *in_tiles(skips=True)], key=_time)
    gain = _time(dense) / _time(best)
    if gain * _MARGIN < 1 and block is None:
        zeros = 1 - float(np.count_nonzero(packed) / packed.size)
        reason = f"{zeros:.0%} of the words zero would run {gain:.2f}× as fast as dense"
        return chosen(used=stay, rows=dense[0], kernel=dense[1], reason=reason)
    deep = amx.CHANNELS if isinstance(best[1].tile, AmxTile) else words.BYTES
    used = in_blocks(best[0].filters, found.density, deep)
    reason = f"predicted {gain:.1f}× as fast as dense int8"
    return chosen(used=used, rows=best[0], kernel=best[1], reason=reason)


def in_blocks(filters: int, density: float, channels: int = words.BYTES) -> Scheme:
    """Return how a weight is stored whose blocks of so many filters share their words."""
    shape = (filters, channels)
    return Scheme(format="block_punched", block=shape, density=density, bits=BITS)


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


def stored(
    numbers: Integers, layer: Layer, filters: int, target: Target, skips: bool = True
) -> RowBlocks:
    """Return a layer's words as row blocks of so many filters.

    Parameters
    ----------
    numbers : Integers
    layer : Layer
        Over channels.
    filters : int
        Filters that share their taps.
    target : Target
    skips : bool
        Whether words without weights are left out.
    """
    packed = words.packed(layer, numbers.weight)
    keep = packed != 0 if skips else np.ones(packed.shape, bool)
    return narrow.taps(_row_blocks(words.word_layer(layer), packed, keep, filters), target.dot)


def stored_as(
    choice: IntegerChoice, numbers: Integers, skips: bool, filters: int, target: Target
) -> IntegerChoice:
    """Return the choice with its weight stored in another way, by the best kernel for that.

    Parameters
    ----------
    choice : IntegerChoice
    numbers : Integers
        Which it was made for.
    skips, filters
        A key of its `works`.
    target : Target
    """
    rows, best = _way(numbers, choice.layer, filters, target, skips)
    dense = Scheme(format="dense", bits=BITS)
    used = in_blocks(filters, choice.found.density) if skips else dense
    return replace(choice, used=used, rows=rows, kernel=best)


_Way = tuple[RowBlocks, Kernel]


def _time(way: _Way) -> float:
    return way[1].seconds


def _in_tiles(
    numbers: Integers, layer: Layer, target: Target | None, skips: bool
) -> Iterator[_Way]:
    """Yield the ways to multiply tiles of words, if the target has such instructions."""
    if target is not None and amx_kernel.suits(layer, target):
        packed = words.packed(layer, numbers.weight)
        keep = packed != 0 if skips else np.ones(packed.shape, bool)
        word = 1 if numbers.output is None else words.BYTES
        yield from amx_kernel.ways(layer, packed, keep, word, target)


def _way(numbers: Integers, layer: Layer, filters: int, target: Target, skips: bool = True) -> _Way:
    """Return the row blocks of so many filters, and the best kernel over them."""
    rows = stored(numbers, layer, filters, target, skips)
    word = 1 if numbers.output is None else words.BYTES
    return rows, integer_kernel.best(words.word_layer(layer), work_of(rows), word, target)


def _works(dense: dict[int, _Way], sparse: dict[int, _Way]) -> dict[tuple[bool, int], Work]:
    """Return what kernels multiply, by whether they skip words and by filters that share taps."""
    return {
        (skips, size): work_of(rows)
        for skips, ways in ((False, dense), (True, sparse))
        for size, (rows, _) in ways.items()
    }


def work_of(rows: RowBlocks) -> Work:
    """Return what a kernel over row blocks multiplies."""
    return Work(blocks=rows.blocks, taps=len(rows.taps), filters=rows.filters)


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
