"""What a sparse format is: which zeros it can describe, how it stores a weight, how it is read."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tvm_sparse.errors import FormatError
from tvm_sparse.rows import RowBlocks, RowCount

Weight = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Block = tuple[int, ...]
Integers = npt.NDArray[np.integer]

WORTH = 0.4
"""Share of non-zeros from which a box is stored whole: weights that are stored one by one, each
with an index and a load of its own, cost about 2.5 times as much."""


def _none() -> Integers:
    return np.zeros(0, np.uint8)


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A weight as a format stores it. Formats leave the arrays that they do not need empty.

    Parameters
    ----------
    format, block
        Which format, with which block.
    shape : tuple of int
        Shape of the dense weight.
    values : array
        The stored weights, explicit zeros included.
    index : unsigned array
        Where the values stand; each format says in which unit.
    ptr : unsigned array
        Where each row's part of `index` begins.
    order : unsigned array
        The filters in the order in which they are stored.
    library : bool array
        Patterns of kernel positions, stored once for the whole weight.
    """

    format: str
    block: Block
    shape: tuple[int, ...]
    values: Weight
    index: Integers = field(default_factory=_none)
    ptr: Integers = field(default_factory=_none)
    order: Integers = field(default_factory=_none)
    library: Mask = field(default_factory=lambda: np.zeros(0, bool))

    @property
    def index_nbytes(self) -> int:
        """Bytes that say where the values stand, without the library."""
        return self.index.nbytes + self.ptr.nbytes + self.order.nbytes

    @property
    def nbytes(self) -> int:
        """Bytes of values, indices and library (one bit a position)."""
        return self.values.nbytes + self.index_nbytes + -(-self.library.size // 8)


class SparseFormat(ABC):
    """One way to describe and store the zeros of a weight.

    Laws, checked for every format by the conformance suite:
    ``unpack(pack(w, b)) == w``, bit for bit on the non-zeros (negative zeros become zeros), and a
    kernel that reads ``rows(w, b)`` computes what the dense operator computes on ``w``. Both hold
    for any weight in the formats that store explicit zeros, and for the weights that fit in those
    whose `limit` is less than 1; there, `pack` and `rows` refuse other weights. What `mask` leaves
    of a weight without zeros fits.
    """

    name: ClassVar[str]
    blocks: ClassVar[tuple[Block, ...]] = ((),)
    """The blocks that detection tries; the first one is the example in errors."""

    def view(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return the (F, C, K) shape in which zeros are described, K = Kh · Kw."""
        return shape[0], shape[1], math.prod(shape[2:])

    def suits(self, shape: tuple[int, ...], block: Block = ()) -> bool:
        """Whether the format with this block describes something on a weight of this shape."""
        return self.objection(shape, block) is None

    def objection(self, shape: tuple[int, ...], block: Block) -> str | None:
        """Return why the block cannot be used on a weight of this shape, or None."""
        expected = len(self.blocks[0])
        if len(block) == expected and all(size >= 1 for size in block):
            return None
        example = "x".join(map(str, self.blocks[0])) or "no block"
        sizes = f"takes {expected} block sizes of at least 1 (e.g. {example})"
        return f"format {self.name} {sizes}, got {block}"

    def check(self, shape: tuple[int, ...], block: Block) -> None:
        """Raise FormatError if the block cannot be used on a weight of this shape."""
        objection = self.objection(shape, block)
        if objection:
            raise FormatError(objection)

    def limit(self, shape: tuple[int, ...], block: Block = ()) -> float:
        """Return the largest density that `mask` can leave."""
        return 1.0

    def groups(self, shape: tuple[int, ...], block: Block = ()) -> Integers:
        """Return a number for each weight; weights of one number stay or go together.

        Where a format's choice depends on the weights, each has a number of its own.

        Raises
        ------
        FormatError
            If the block does not suit the format.
        """
        self.check(shape, block)
        return np.arange(math.prod(shape)).reshape(shape)

    def channel_step(self, shape: tuple[int, ...], block: Block = ()) -> int:
        """Return the neighbouring channels of which a mask may be made without seeing the others.

        All of them, unless a format says otherwise.
        """
        return shape[1]

    @abstractmethod
    def mask(self, scores: Weight, density: float, block: Block = ()) -> Mask:
        """Return which weights to keep so that about `density` of them stay.

        Parameters
        ----------
        scores : array of the weight's shape
            Importance of each weight, e.g. its magnitude.
        density : float
            Share of weights to keep, in (0, 1]; something always stays.
        block : tuple of int
            The format's block.

        Raises
        ------
        FormatError
            If the block does not suit the format, or the density is out of range.
        """

    @abstractmethod
    def fits(self, weight: Weight, block: Block = ()) -> bool:
        """Whether the format describes the weight's zeros."""

    def detect(self, weight: Weight) -> Block | None:
        """Return the block that describes the weight's zeros most tightly, or None."""
        return next(
            (b for b in self.blocks if self.suits(weight.shape, b) and self.fits(weight, b)), None
        )

    @abstractmethod
    def core(self, weight: Weight, block: Block = ()) -> Mask:
        """Return which non-zeros the format stores well; the others are better stored one by one.

        ``weight * core(weight, block)`` can be packed.
        """

    @abstractmethod
    def nbytes(self, weight: Weight, block: Block = ()) -> int:
        """Return about how many bytes the stored weights and their indices take.

        Counted alike in all formats, so that they can be compared: 4 bytes a value and an index,
        no row pointers, nothing for what only fills up an edge.
        """

    @abstractmethod
    def pack(self, weight: Weight, block: Block = ()) -> Packed:
        """Store a weight.

        Raises
        ------
        FormatError
            If the block does not suit the format, or the format cannot store the weight.
        """

    @abstractmethod
    def unpack(self, packed: Packed) -> Weight:
        """Return the dense weight that was packed."""

    @abstractmethod
    def rows(self, weight: Weight, block: Block = ()) -> RowBlocks:
        """Return the row blocks that a kernel computes, of `register_filters` filters each.

        Raises
        ------
        FormatError
            If the block does not suit the format, or the format cannot store the weight.
        """

    def count(self, weight: Weight, block: Block = ()) -> RowCount:
        """Return the sizes of `rows`, without its values."""
        return self.rows(weight, block).count(len(weight))

    @abstractmethod
    def register_filters(self, shape: tuple[int, ...], block: Block = ()) -> int:
        """Return how many filters of a weight of this shape share their taps in `rows`."""


def check_density(density: float) -> None:
    """Raise FormatError if a density is not in (0, 1]."""
    if not 0.0 < density <= 1.0:
        raise FormatError(f"density must lie in (0, 1], got {density}")


def best(scores: Weight, number: int) -> Mask:
    """Return a mask of the `number` highest scores, at least one; the first of equals go first."""
    kept = np.zeros(scores.size, bool)
    ranked = np.argsort(-scores, axis=None, kind="stable")
    kept[ranked[: max(1, number)]] = True
    return kept.reshape(scores.shape)


def smallest(array: Integers, largest: int | None = None) -> npt.NDArray[np.unsignedinteger]:
    """Return the array in the smallest unsigned type that holds its values (or `largest`)."""
    top = int(array.max(initial=0)) if largest is None else largest
    return array.astype(np.min_scalar_type(max(top, 0)))
