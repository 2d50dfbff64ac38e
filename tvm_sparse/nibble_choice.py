"""How a linear layer of four-bit codes is computed: which filters share a panel, all codes or not.

A word of eight codes costs as many shifts, look-ups and, for each row, multiply-adds; memory brings
four bits a weight. The constants were fitted to measured kernels (AMD Zen 5, AVX-512, linear layers
of 1024 to 4096 channels, 1 to 8 rows).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tvm_sparse import kernel, nibble_rows
from tvm_sparse.choose import find
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.nibbles import BITS, PER_WORD, Nibbles, whole
from tvm_sparse.scheme import Scheme
from tvm_sparse.tile import NibbleTile

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

_MARGIN = 0.9  # a sparse kernel must be predicted to take at most this share of the dense time
VECTORS = (1, 2, 4, 8)  # of a panel's filters
_LANES = 16  # of a permutation that looks up every code
_SHARED = (16, 8, 4)  # filters that may share their channels
_FILLED = 0.8  # share of the weights of blocks that are not zero
_DECODE = 0.5  # cycles to shift and look up a vector of codes
_COMPUTE = 1.0  # the same without a permutation
_ROW = 0.75  # cycles to multiply it with a row's input, and add
_INDEX = 1.0  # cycles to find the input of a listed channel
_STORE = 5.0  # cycles to store a vector of outputs
_WEIGHT_LINE = 3.0  # cycles to stream a cache line of words that are read once
_FAR_LINE = 0.6  # the same for each tile of rows


@dataclass(frozen=True, kw_only=True)
class NibbleChoice:
    """How one layer of codes will be computed, and why.

    Parameters
    ----------
    layer : Layer
    stored : Nibbles
    found, used : Scheme
        The tightest description of the zeros, and how the weight is stored.
    kernel : Kernel
    dense_seconds : float
        Predicted time of the dense kernel in float32.
    reason : str
    """

    layer: Layer
    stored: Nibbles
    found: Scheme
    used: Scheme
    kernel: Kernel
    dense_seconds: float
    reason: str

    @property
    def is_sparse(self) -> bool:
        """Whether zeros are skipped."""
        return self.used.format != "dense"


def choose(layer: Layer, stored: Nibbles, target: Target, sparse: bool = True) -> NibbleChoice:
    """Decide how to compute a linear layer of codes.

    Parameters
    ----------
    layer : Layer
    stored : Nibbles
    target : Target
    sparse : bool
        Whether zeros may be skipped.
    """
    kept = stored.kept
    best, used = dense_kernel(layer, stored.group, stored.code, target), stored_whole()
    if sparse and not kept.all():
        listed = sparse_kernel(layer, stored.group, stored.code, counts(stored, target), target)
        if listed.seconds < _MARGIN * best.seconds:
            best, used = listed, stored_in_lists(stored, listed)
    floats = kernel.dense(layer, target).seconds
    return NibbleChoice(
        layer=layer,
        stored=stored,
        found=pattern(stored),
        used=used,
        kernel=best,
        dense_seconds=floats,
        reason=f"{stored.code} weights, predicted {floats / best.seconds:.1f}× as fast as float32",
    )


def pattern(stored: Nibbles) -> Scheme:
    """Return the tightest description of the zeros of codes.

    Small weights of a block become zeros when they are rounded: where nearly all of the weights
    are left in blocks of filters, these are the pattern.
    """
    kept = stored.kept
    found = find(kept)
    for filters in _SHARED if found.format == "unstructured" else ():
        padded = np.pad(kept, ((0, -len(kept) % filters), (0, 0)))
        blocks = padded.reshape(-1, filters, kept.shape[1]).any(axis=1)
        whole = np.repeat(blocks, filters, axis=0)[: len(kept)]
        if not whole.all() and kept.sum() >= _FILLED * whole.sum():
            return replace(find(whole), bits=BITS)
    return replace(found, bits=BITS)


def dense_kernel(layer: Layer, group: int, code: str, target: Target) -> Kernel:
    """Return the best kernel over all codes; its seconds are what a plan may reckon with."""
    group = whole(group, layer.channels)
    found = (kernel_of(layer, tile, None, target) for tile in tiles(layer, group, code, target))
    return min(found, key=lambda kernel: kernel.seconds)


def sparse_kernel(
    layer: Layer, group: int, code: str, words: Mapping[int, int], target: Target
) -> Kernel:
    """Return the best kernel over lists; `words` tells how many by the filters of a panel."""
    found = (
        kernel_of(layer, tile, words[tile.filters], target)
        for tile in tiles(layer, group, code, target)
    )
    return min(found, key=lambda kernel: kernel.seconds)


def counts(stored: Nibbles, target: Target, vectors: Sequence[int] = VECTORS) -> dict[int, int]:
    """Return how many words lists have, by the filters of a panel: so many vectors of them."""
    kept, sizes = stored.kept, [number * target.lanes for number in vectors]
    return {filters: nibble_rows.count(kept, filters, stored.group) for filters in sizes}


def stored_whole() -> Scheme:
    """Return how a weight is stored with all of its codes."""
    return Scheme(format="dense", bits=BITS)


def stored_in_lists(stored: Nibbles, kernel: Kernel) -> Scheme:
    """Return how a weight is stored whose panels list channels."""
    density = max(round(float(stored.kept.mean()), 4), 1e-4)
    block = (kernel.tile.filters, 1)
    return Scheme(format="block_punched", block=block, density=density, bits=BITS)


def tiles(
    layer: Layer, group: int, code: str, target: Target, vectors: Sequence[int] = VECTORS
) -> Iterator[NibbleTile]:
    """Yield the register tiles: sums, a word's eight vectors of weights, an input and a scale."""
    most = (target.registers - PER_WORD - 2) // 2
    for number in vectors:
        for rows in range(1, min(layer.positions, 8) + 1):
            if rows * number <= max(most, 1) and (rows == 1 or rows * number <= PER_WORD):
                yield _tile(layer, group, code, (number, rows), target)


def _tile(layer: Layer, group: int, code: str, size: tuple[int, int], target: Target) -> NibbleTile:
    vectors, rows = size
    filters = vectors * target.lanes
    by_panels = -(-layer.filters // filters) >= target.cores
    return NibbleTile(
        filters=filters,
        rows=rows,
        lanes=target.lanes,
        parallel="panels" if by_panels else "rows",
        group=group // PER_WORD,
        code=code,
        permute=target.permute if target.lanes == _LANES else "",
    )


def kernel_of(layer: Layer, tile: NibbleTile, words: int | None, target: Target) -> Kernel:
    """Return a kernel over so many listed words, or over all."""
    panels, vectors = -(-layer.filters // tile.filters), tile.filters // tile.lanes
    number = panels * -(-layer.channels // PER_WORD) if words is None else words
    tiles = -(-layer.positions // tile.rows)
    vector = (_DECODE if tile.permute else _COMPUTE) + tile.rows * _ROW
    index = 0.0 if words is None else tile.rows * _INDEX
    product = tiles * number * PER_WORD * (vectors * vector + index)
    store = layer.positions * panels * vectors * _STORE
    parts = panels if tile.parallel == "panels" else tiles
    share = -(-parts // target.cores) / parts
    lines = number * tile.filters * 4 / target.line
    far = 0.0
    if lines * target.line > target.l2:
        far = lines * (_WEIGHT_LINE if tiles == 1 else _FAR_LINE * tiles)
    seconds = (max(product, far) + store) * share / (target.ghz * 1e9)
    return Kernel(tile=tile, plane=None, seconds=seconds)
