"""What a sparse format is, and the one implementation that all box-shaped formats share.

A format prunes and stores a weight in equal boxes: ``p`` filters × ``q`` channels × ``r`` kernel
positions live or die together. The formats of the field differ only in the box they choose:

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
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tvm_sparse.errors import FormatError
from tvm_sparse.rows import RowBlocks, from_matrix

Weight = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Block = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A weight as a format stores it.

    Parameters
    ----------
    format, block
        Which format, with which block.
    shape : tuple of int
        Shape of the dense weight.
    ptr : int64 array of shape (rows of boxes + 1,)
        Where each row of boxes begins (the CSR row pointer, over boxes).
    index : unsigned array of shape (n,)
        Which box of its row each stored box is.
    values : array of shape (n, p, q, r)
        The stored boxes; boxes that reach over the weight's edge are filled with zeros.
    """

    format: str
    block: Block
    shape: tuple[int, ...]
    ptr: npt.NDArray[np.int64]
    index: npt.NDArray[np.unsignedinteger]
    values: Weight

    @property
    def nbytes(self) -> int:
        """Bytes of values and indices."""
        return self.values.nbytes + self.index.nbytes + self.ptr.nbytes


class SparseFormat:
    """A family of boxes. Subclasses say which; everything else is here.

    Laws, checked for every format by the conformance suite:
    ``unpack(pack(w, b)) == w``, bit for bit on the non-zeros (negative zeros become zeros), and a
    kernel that reads ``rows(w, b)`` computes what the dense operator computes on ``w``.
    """

    name: ClassVar[str]
    blocks: ClassVar[tuple[Block, ...]] = ((),)
    """The blocks that detection tries."""

    def box(self, shape: tuple[int, int, int], block: Block) -> tuple[int, int, int]:
        """Return (p, q, r) for a weight viewed as `shape`."""
        raise NotImplementedError

    def view(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return the (F, C, K) shape in which boxes are cut, K = Kh · Kw."""
        return shape[0], shape[1], math.prod(shape[2:])

    def mask(self, scores: Weight, density: float, block: Block = ()) -> Mask:
        """Return which weights to keep so that about `density` of the boxes stay.

        Boxes are ranked by their mean score over the whole layer.

        Parameters
        ----------
        scores : array of the weight's shape
            Importance of each weight, e.g. its magnitude.
        density : float
            Share of boxes to keep, in (0, 1]; at least one box stays.
        block : tuple of int
            The format's block.

        Raises
        ------
        FormatError
            If the block does not suit the format, or the density is out of range.
        """
        if not 0.0 < density <= 1.0:
            raise FormatError(f"density must lie in (0, 1], got {density}")
        box = self._box(scores.shape, block)
        view = self.view(scores.shape)
        sums = _split(scores.reshape(view).astype(np.float64), box).sum(axis=(1, 3, 5))
        sizes = _split(np.ones(view), box).sum(axis=(1, 3, 5))
        ranked = np.argsort(-(sums / sizes), axis=None, kind="stable")
        kept = np.zeros(sums.size, bool)
        kept[ranked[: max(1, round(density * sums.size))]] = True
        return _spread(kept.reshape(sums.shape), box, view).reshape(scores.shape)

    def fits(self, weight: Weight, block: Block = ()) -> bool:
        """Whether every box of the weight is all zero or free of zeros."""
        box = self._box(weight.shape, block)
        nonzero = (weight != 0).reshape(self.view(weight.shape))
        some = _touched(nonzero, box)
        return bool(_spread(some, box, nonzero.shape).sum() == nonzero.sum())

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

    def pack(self, weight: Weight, block: Block = ()) -> Packed:
        """Store the boxes that hold a non-zero.

        Any weight can be packed in any format: zeros inside a stored box are stored.

        Raises
        ------
        FormatError
            If the block does not suit the format.
        """
        box = self._box(weight.shape, block)
        boxes = _split(weight.reshape(self.view(weight.shape)), box)
        some = (boxes != 0).any(axis=(1, 3, 5))
        row, channel, position = np.nonzero(some)
        index = channel * some.shape[2] + position
        return Packed(
            format=self.name,
            block=block,
            shape=weight.shape,
            ptr=np.searchsorted(row, np.arange(len(some) + 1)).astype(np.int64),
            index=index.astype(np.min_scalar_type(max(some[0].size - 1, 0))),
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
        """Return the row blocks that a kernel computes: p filters share the taps of their boxes.

        Raises
        ------
        FormatError
            If the block does not suit the format.
        """
        box = self._box(weight.shape, block)
        view = self.view(weight.shape)
        some = _touched((weight != 0).reshape(view), box)
        keep = _spread(some, box, view).reshape(len(weight), -1)
        return from_matrix(weight.reshape(keep.shape), keep, self.register_filters(box))

    def register_filters(self, box: tuple[int, int, int]) -> int:
        """Return how many filters share their taps: those of a box, unless boxes are extreme."""
        return box[0]

    def _box(self, shape: tuple[int, ...], block: Block) -> tuple[int, int, int]:
        expected = len(self.blocks[0])
        if len(block) != expected or any(size < 1 for size in block):
            example = "x".join(map(str, self.blocks[0])) or "no block"
            raise FormatError(
                f"format {self.name} takes {expected} block sizes of at least 1 (e.g. {example}), "
                f"got {block}"
            )
        return self.box(self.view(shape), block)


def _divides(smaller: Block, larger: Block) -> bool:
    """Whether a weight that does not fit the smaller block cannot fit the larger one."""
    return all(b % a == 0 for a, b in zip(smaller, larger, strict=True))


def _volume(box: tuple[int, int, int], view: tuple[int, int, int]) -> int:
    return math.prod(min(size, b) for size, b in zip(view, box, strict=True))


def _split(array: Weight, box: tuple[int, int, int]) -> Weight:
    """View (F, C, K) as (F/p, p, C/q, q, K/r, r), filled up with zeros."""
    fill = [(0, -size % b) for size, b in zip(array.shape, box, strict=True)]
    padded = np.pad(array, fill) if any(end for _, end in fill) else array
    shape = [n for size, b in zip(padded.shape, box, strict=True) for n in (size // b, b)]
    return padded.reshape(shape)


def _touched(nonzero: Mask, box: tuple[int, int, int]) -> Mask:
    """Return which boxes hold a non-zero."""
    return np.asarray(_split(nonzero, box).any(axis=(1, 3, 5)))


def _crop(boxes: Weight, view: tuple[int, ...]) -> Weight:
    f, p, c, q, k, r = boxes.shape
    return boxes.reshape(f * p, c * q, k * r)[: view[0], : view[1], : view[2]]


def _spread(kept: Mask, box: tuple[int, int, int], view: tuple[int, ...]) -> Mask:
    """Repeat one flag a box to one flag a weight."""
    p, q, r = box
    wide = np.broadcast_to(
        kept[:, None, :, None, :, None], (len(kept), p, kept.shape[1], q, kept.shape[2], r)
    )
    return _crop(wide, view)
