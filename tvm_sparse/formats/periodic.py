"""Which positions a kernel keeps follows from its place alone: patterns repeat periodically.

Heo et al., "Sparse Periodic Systolic Dataflow for Lowering Latency and Power Dissipation of
Convolutional Neural Network Accelerators", arXiv 2207.00068.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from tvm_sparse.formats.protocol import (
    WORTH,
    Block,
    Integers,
    Mask,
    Packed,
    SparseFormat,
    Weight,
    best,
    check_density,
)
from tvm_sparse.rows import RowBlocks, from_matrix

_FILTERS = 8
_PERIODS = (4, 8, 2, 16, 1)


class PeriodicSparse(SparseFormat):
    """Block (pf, pc): kernel (f, c) keeps the positions of pattern (f mod pf, c mod pc).

    A pattern keeps a position as soon as one of its kernels holds a non-zero there, so any weight
    can be packed. In `Packed`, `library` (pf, pc, K) holds the patterns and nothing else says where
    `values`, filter after filter, stand.
    """

    name: ClassVar[str] = "periodic"
    blocks: ClassVar[tuple[Block, ...]] = tuple(
        (pf, pc) for pf in _PERIODS for pc in _PERIODS if pf * pc > 1
    )

    def suits(self, shape: tuple[int, ...], block: Block = ()) -> bool:
        """Whether every pattern comes at least twice along filters and along channels."""
        return super().suits(shape, block) and all(
            period == 1 or 2 * period <= size for period, size in zip(block, shape, strict=False)
        )

    def groups(self, shape: tuple[int, ...], block: Block = ()) -> Integers:
        """Return the number of each weight's pattern and position."""
        self.check(shape, block)
        view = self.view(shape)
        table = np.arange(block[0] * block[1] * view[2]).reshape(*block, view[2])
        return np.asarray(_spread(table, view).reshape(shape))

    def mask(self, scores: Weight, density: float, block: Block = ()) -> Mask:
        """Keep `density` of the patterns' positions: those with the highest mean scores."""
        check_density(density)
        view = self.view(scores.shape)
        sums = self._sums(scores.astype(np.float64), block)
        sizes = self._sums(np.ones(scores.shape), block)
        means = np.divide(sums, sizes, out=np.full(sums.shape, -np.inf), where=sizes > 0)
        table = best(means, round(density * int((sizes > 0).sum())))
        return np.asarray(_spread(table, view).reshape(scores.shape))

    def fits(self, weight: Weight, block: Block = ()) -> bool:
        """Whether every kernel holds non-zeros exactly where its pattern does."""
        nonzero = weight != 0
        stored = _spread(self._sums(nonzero, block) > 0, self.view(weight.shape))
        return int(np.count_nonzero(stored)) == int(np.count_nonzero(nonzero))

    def detect(self, weight: Weight) -> Block | None:
        """Return the smallest periods that fit."""
        if not self._may_repeat(weight):
            return None
        tried = sorted(self.blocks, key=lambda block: (block[0] * block[1], block))
        return next(
            (b for b in tried if self.suits(weight.shape, b) and self.fits(weight, b)), None
        )

    def core(self, weight: Weight, block: Block = ()) -> Mask:
        """Return the non-zeros where at least `WORTH` of a pattern's kernels hold one."""
        nonzero = weight != 0
        worth = self._sums(nonzero, block) >= WORTH * self._sums(np.ones_like(nonzero), block)
        kept = _spread(worth, self.view(weight.shape)).reshape(weight.shape)
        return np.asarray(nonzero & kept)

    def nbytes(self, weight: Weight, block: Block = ()) -> int:
        """Return 4 bytes a stored weight, and the patterns' bits."""
        table = self._sums(weight != 0, block) > 0
        stored = np.count_nonzero(_spread(table, self.view(weight.shape)))
        return 4 * int(stored) + table.size // 8

    def pack(self, weight: Weight, block: Block = ()) -> Packed:
        """Store the weights where the patterns keep them."""
        table = self._sums(weight != 0, block) > 0
        view = self.view(weight.shape)
        values = weight.reshape(view)[_spread(table, view)] + np.zeros((), weight.dtype)
        return Packed(
            format=self.name, block=block, shape=weight.shape, values=values, library=table
        )

    def unpack(self, packed: Packed) -> Weight:
        """Return the dense weight that was packed."""
        view = self.view(packed.shape)
        out = np.zeros(view, packed.values.dtype)
        out[_spread(packed.library, view)] = packed.values
        return out.reshape(packed.shape)

    def rows(self, weight: Weight, block: Block = ()) -> RowBlocks:
        """Return the filters of each residue together: they share their taps exactly."""
        filters = self.register_filters(weight.shape, block)
        table = self._sums(weight != 0, block) > 0
        keep = _spread(table, self.view(weight.shape)).reshape(len(weight), -1)
        residues = [np.arange(r, len(weight), block[0]) for r in range(block[0])]
        order = [np.pad(r, (0, -len(r) % filters), constant_values=-1) for r in residues]
        rows = np.concatenate(order).astype(np.int32)
        return from_matrix(weight.reshape(keep.shape), keep, filters, rows)

    def register_filters(self, shape: tuple[int, ...], block: Block = ()) -> int:
        """Return 8, or the largest power of two that a residue's filters fill."""
        self.check(shape, block)
        return 1 << (min(_FILTERS, max(shape[0] // block[0], 1)).bit_length() - 1)

    def _sums(self, array: Weight, block: Block) -> Weight:
        """Return the sums over all kernels of each pattern: (pf, pc, K)."""
        self.check(array.shape, block)
        pf, pc = block
        f, c, k = self.view(array.shape)
        counted = array.reshape(f, c, k)
        fill = ((0, -f % pf), (0, -c % pc), (0, 0))
        padded = np.pad(counted, fill) if f % pf or c % pc else counted
        return np.asarray(padded.reshape(-1, pf, padded.shape[1] // pc, pc, k).sum(axis=(0, 2)))

    def _may_repeat(self, weight: Weight) -> bool:
        """Whether filter 0 has as many weights as the filters that its periods would repeat."""
        f = len(weight)
        last = max(period for period in _PERIODS if period == 1 or 2 * period <= f)
        rows = weight.reshape(f, -1)
        return bool(np.array_equal(rows[0] != 0, rows[last] != 0)) if f > 1 else True


def _spread(table: Weight, view: tuple[int, int, int]) -> Weight:
    """Repeat the patterns over a weight viewed as (F, C, K)."""
    pf, pc, _ = table.shape
    return np.asarray(table[np.arange(view[0])[:, None] % pf, np.arange(view[1])[None] % pc])


FORMAT = PeriodicSparse()
