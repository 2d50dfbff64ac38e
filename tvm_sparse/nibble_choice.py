"""How a linear layer of four-bit codes is computed: which filters share a panel, all codes or not.

A word of eight codes costs as many shifts, look-ups and, for each row, multiply-adds; memory brings
four bits a weight. The constants were fitted to measured kernels (AMD Zen 5, AVX-512, linear layers
of 1024 to 4096 channels, 1 to 8 rows).
"""

from __future__ import annotations

from collections.abc import Iterator
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
    dense = dense_kernel(layer, stored.group, stored.code, target)
    best, used = dense, Scheme(format="dense", bits=BITS)
    if sparse and not kept.all():
        density = max(round(float(kept.mean()), 4), 1e-4)
        for tile in _tiles(layer, stored.group, stored.code, target):
            words = nibble_rows.count(kept, tile.filters, stored.group)
            found = _kernel(layer, tile, words, target)
            if found.seconds < min(_MARGIN * dense.seconds, best.seconds):
                best, block = found, (tile.filters, 1)
                used = Scheme(format="block_punched", block=block, density=density, bits=BITS)
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
    found = (_kernel(layer, tile, None, target) for tile in _tiles(layer, group, code, target))
    return min(found, key=lambda kernel: kernel.seconds)


def _tiles(layer: Layer, group: int, code: str, target: Target) -> Iterator[NibbleTile]:
    """Yield the register tiles: sums, a word's eight vectors of weights, an input and a scale."""
    most = (target.registers - PER_WORD - 2) // 2
    for vectors in (1, 2, 4, 8):
        for rows in range(1, min(layer.positions, 8) + 1):
            if rows * vectors <= max(most, 1) and (rows == 1 or rows * vectors <= PER_WORD):
                yield _tile(layer, group, code, (vectors, rows), target)


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


def _kernel(layer: Layer, tile: NibbleTile, words: int | None, target: Target) -> Kernel:
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
