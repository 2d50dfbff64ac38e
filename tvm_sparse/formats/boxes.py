"""What all box-shaped formats share.

A box-shaped format prunes and stores a weight in equal boxes: ``p`` filters × ``q`` channels ×
``r`` kernel positions live or die together. These formats differ only in the box they choose:

==============  ==========================================================================
dense           no box is ever removed
unstructured    1 × 1 × 1
block           p filters × q consecutive weights of the flattened (C · Kh · Kw) axis (BSR)
one_by_n        N filters × 1 channel × the whole kernel
block_punched   p filters × q channels × 1 kernel position
filter          1 filter × everything
channel         everything × 1 channel
==============  ==========================================================================
"""

from __future__ import annotations

import math
from abc import abstractmethod

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
    smallest,
)
from tvm_sparse.rows import RowBlocks, RowCount, from_matrix

Box = tuple[int, int, int]

_FEW = 1 << 14  # weights


class BoxFormat(SparseFormat):
    """A family of boxes. Subclasses say which; everything else is here.

    A box is stored whole as soon as one of its weights is not zero, so any weight can be packed. In
    `Packed`, `values` has the shape (n, p, q, r), with zeros where a box reaches over the weight's
    edge; `index` says which box of its row each of the n boxes is.
    """

    @abstractmethod
    def box(self, shape: tuple[int, int, int], block: Block) -> Box:
        """Return (p, q, r) for a weight viewed as `shape`."""

    def groups(self, shape: tuple[int, ...], block: Block = ()) -> Integers:
        """Return the number of the box that each weight lies in."""
        box, view = self._box(shape, block), self.view(shape)
        grid = [-(-size // b) for size, b in zip(view, box, strict=True)]
        return _spread(np.arange(math.prod(grid)).reshape(grid), box, view).reshape(shape)

    def channel_step(self, shape: tuple[int, ...], block: Block = ()) -> int:
        """Return the channels of a box; more where it ends within one."""
        units = self.view(shape)[1] // shape[1]
        width = min(self._box(shape, block)[1], units * shape[1])
        return width // math.gcd(width, units)

    def mask(self, scores: Weight, density: float, block: Block = ()) -> Mask:
        """Keep `density` of the boxes: those with the highest mean scores of the whole layer."""
        check_density(density)
        box, view = self._box(scores.shape, block), self.view(scores.shape)
        sums = _split(scores.reshape(view).astype(np.float64), box).sum(axis=(1, 3, 5))
        kept = best(sums / _sizes(view, box), round(density * sums.size))
        return _spread(kept, box, view).reshape(scores.shape)

    def fits(self, weight: Weight, block: Block = ()) -> bool:
        """Whether every box of the weight is all zero or free of zeros."""
        box = self._box(weight.shape, block)
        view = self.view(weight.shape)
        few = max(_FEW // (view[1] * view[2]), 1) * box[0]  # filters that tell most misfits
        return all(
            _fits((part != 0).reshape(-1, *view[1:]), box) for part in (weight[:few], weight)
        )

    def detect(self, weight: Weight) -> Block | None:
        """Return the largest block into which the weight's zeros fit exactly, or None."""
        view = self.view(weight.shape)
        fitting: list[Block] = []
        failed: list[Block] = []
        for block in sorted(self.blocks, key=math.prod):
            if any(_divides(smaller, block) for smaller in failed):
                continue
            (fitting if self.fits(weight, block) else failed).append(block)
        return max(fitting, key=lambda block: _volume(self.box(view, block), view), default=None)

    def core(self, weight: Weight, block: Block = ()) -> Mask:
        """Return the non-zeros of boxes in which at least `WORTH` of the weights are not zero."""
        box, view = self._box(weight.shape, block), self.view(weight.shape)
        nonzero = (weight != 0).reshape(view)
        number = _split(nonzero, box).sum(axis=(1, 3, 5))
        worth = _spread(number >= WORTH * _sizes(view, box), box, view)
        return np.asarray((worth & nonzero).reshape(weight.shape))

    def nbytes(self, weight: Weight, block: Block = ()) -> int:
        """Return 4 bytes a weight of a stored box, and 4 a box."""
        box, view = self._box(weight.shape, block), self.view(weight.shape)
        some = _touched((weight != 0).reshape(view), box)
        return 4 * int(_sizes(view, box)[some].sum()) + 4 * int(some.sum())

    def pack(self, weight: Weight, block: Block = ()) -> Packed:
        """Store the boxes that hold a non-zero; zeros inside a stored box are stored."""
        box = self._box(weight.shape, block)
        boxes = _split(weight.reshape(self.view(weight.shape)), box)
        some = (boxes != 0).any(axis=(1, 3, 5))
        row, channel, position = np.nonzero(some)
        return Packed(
            format=self.name,
            block=block,
            shape=weight.shape,
            ptr=smallest(np.searchsorted(row, np.arange(len(some) + 1))),
            index=smallest(channel * some.shape[2] + position, some[0].size - 1),
            values=boxes[row, :, channel, :, position, :] + np.zeros((), weight.dtype),
        )

    def unpack(self, packed: Packed) -> Weight:
        """Return the dense weight that was packed."""
        box = self._box(packed.shape, packed.block)
        view = self.view(packed.shape)
        grid = [-(-size // b) for size, b in zip(view, box, strict=True)]
        boxes = np.zeros(
            [n for pair in zip(grid, box, strict=True) for n in pair], packed.values.dtype
        )
        row = np.repeat(np.arange(grid[0]), np.diff(packed.ptr))
        channel, position = np.divmod(packed.index.astype(np.int64), grid[2])
        boxes[row, :, channel, :, position, :] = packed.values
        return _crop(boxes, view).reshape(packed.shape)

    def rows(self, weight: Weight, block: Block = ()) -> RowBlocks:
        """Return the row blocks that a kernel computes: p filters share the taps of their boxes."""
        keep = self._stored(weight, block)
        filters = self.register_filters(weight.shape, block)
        return from_matrix(weight.reshape(keep.shape), keep, filters)

    def count(self, weight: Weight, block: Block = ()) -> RowCount:
        """Return the sizes of `rows`."""
        filters = self.register_filters(weight.shape, block)
        shared = _touched(self._stored(weight, block)[:, :, None], (filters, 1, 1))
        return RowCount(blocks=len(shared), taps=int(shared.sum()), filters=filters)

    def register_filters(self, shape: tuple[int, ...], block: Block = ()) -> int:
        """Return the filters of a box, unless boxes are extreme."""
        return self._box(shape, block)[0]

    def _stored(self, weight: Weight, block: Block) -> Mask:
        """Return which weights of the (F, taps) matrix lie in a box that is stored."""
        box, view = self._box(weight.shape, block), self.view(weight.shape)
        some = _touched((weight != 0).reshape(view), box)
        return _spread(some, box, view).reshape(len(weight), -1)

    def _box(self, shape: tuple[int, ...], block: Block) -> Box:
        self.check(shape, block)
        return self.box(self.view(shape), block)


def _fits(nonzero: Mask, box: Box) -> bool:
    """Whether every box is all zero or free of zeros."""
    stored = _spread(_touched(nonzero, box), box, nonzero.shape)
    return int(np.count_nonzero(stored)) == int(np.count_nonzero(nonzero))


def _divides(smaller: Block, larger: Block) -> bool:
    """Whether a weight that does not fit the smaller block cannot fit the larger one."""
    return all(b % a == 0 for a, b in zip(smaller, larger, strict=True))


def _volume(box: Box, view: tuple[int, int, int]) -> int:
    return math.prod(min(size, b) for size, b in zip(view, box, strict=True))


def _sizes(view: tuple[int, int, int], box: Box) -> Weight:
    """Return how many weights each box holds; those at the edge hold fewer."""
    along = [
        np.minimum(np.arange(b, size + b, b), size) - np.arange(0, size, b)
        for size, b in zip(view, box, strict=True)
    ]
    return np.asarray(along[0][:, None, None] * along[1][:, None] * along[2])


def _split(array: Weight, box: Box) -> Weight:
    """View (F, C, K) as (F/p, p, C/q, q, K/r, r), filled up with zeros."""
    fill = [(0, -size % b) for size, b in zip(array.shape, box, strict=True)]
    padded = np.pad(array, fill) if any(end for _, end in fill) else array
    shape = [n for size, b in zip(padded.shape, box, strict=True) for n in (size // b, b)]
    return padded.reshape(shape)


def _touched(nonzero: Mask, box: Box) -> Mask:
    """Return which boxes hold a non-zero."""
    return np.asarray(_split(nonzero, box).any(axis=(1, 3, 5)))


def _crop(boxes: Weight, view: tuple[int, ...]) -> Weight:
    f, p, c, q, k, r = boxes.shape
    return boxes.reshape(f * p, c * q, k * r)[: view[0], : view[1], : view[2]]


def _spread(kept: Weight, box: Box, view: tuple[int, ...]) -> Weight:
    """Repeat one flag (or number) a box to one a weight."""
    p, q, r = box
    wide = np.broadcast_to(
        kept[:, None, :, None, :, None], (len(kept), p, kept.shape[1], q, kept.shape[2], r)
    )
    return _crop(wide, view)
