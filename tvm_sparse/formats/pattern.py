"""Kernels keep the same number of positions, in one of a few patterns; other kernels go whole.

Niu et al., "PatDNN: Achieving Real-Time DNN Execution on Mobile Devices with Pattern-based Weight
Pruning", ASPLOS 2020: the patterns are derived from the scores, and the storage is its FKW.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tvm_sparse.errors import FormatError
from tvm_sparse.formats import libraries
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
from tvm_sparse.rows import RowBlocks

_LARGEST = 32  # patterns that detection tries


@dataclass(frozen=True, kw_only=True)
class KernelPatterns:
    """The live kernels of a weight, those of a filter sorted by (pattern, channel).

    Parameters
    ----------
    library : bool array of shape (L, K)
        The patterns; each keeps k positions.
    ptr : int64 array of shape (F, L + 1)
        Rows ``ptr[f, p]`` to ``ptr[f, p + 1]`` are the kernels of filter f with pattern p.
    channel : int32 array of shape (n,)
        The input channel of each kernel.
    values : array of shape (n, k)
        Each kernel's weights at its pattern's positions, ascending.
    """

    library: Mask
    ptr: npt.NDArray[np.int64]
    channel: npt.NDArray[np.int32]
    values: Weight

    @property
    def longest(self) -> int:
        """The most kernels that a filter has of one pattern."""
        return int(np.diff(self.ptr, axis=1).max(initial=0))

    @property
    def filter(self) -> npt.NDArray[np.int64]:
        """The filter of each kernel, shape (n,)."""
        return np.repeat(np.arange(len(self.ptr)), self.ptr[:, -1] - self.ptr[:, 0])

    @property
    def pattern(self) -> npt.NDArray[np.int64]:
        """The pattern of each kernel, shape (n,)."""
        numbers = np.broadcast_to(np.arange(len(self.library)), self.ptr[:, 1:].shape)
        return np.repeat(numbers.reshape(-1), np.diff(self.ptr, axis=1).reshape(-1))

    @property
    def positions(self) -> npt.NDArray[np.int64]:
        """The kernel positions of each pattern, shape (L, k)."""
        return np.nonzero(self.library)[1].reshape(len(self.library), -1)


class PatternSparse(SparseFormat):
    """Block (k, L): each live kernel keeps k positions, in one of at most L patterns.

    A live kernel may hold zeros within its pattern. In `Packed`, `values` has the shape (n, k),
    `index` the input channel of each kernel, `ptr` (F · L + 1,) says where the kernels of a filter
    and pattern begin, and `library` holds the patterns. No weight has an index.
    """

    name: ClassVar[str] = "pattern"
    blocks: ClassVar[tuple[Block, ...]] = tuple(
        (k, patterns) for k in (4, 5, 3, 6, 2, 1, 7, 8, 9) for patterns in (8, 4, 12)
    )

    def objection(self, shape: tuple[int, ...], block: Block) -> str | None:
        """Refuse kernels of one position, and patterns that are larger than the kernel."""
        objection = super().objection(shape, block)
        size = math.prod(shape[2:])
        if objection is None and size == 1:
            return (
                "format pattern describes kernels of several positions, this layer's have one: "
                "use nm or unstructured"
            )
        if objection is None and block[0] > size:
            return f"pattern-{block[0]}x{block[1]} keeps {block[0]} of {size} kernel positions"
        return objection

    def limit(self, shape: tuple[int, ...], block: Block = ()) -> float:
        """Return k / K."""
        self.check(shape, block)
        return float(block[0] / math.prod(shape[2:]))

    def groups(self, shape: tuple[int, ...], block: Block = ()) -> Integers:
        """Return the number of the kernel that each weight lies in."""
        self.check(shape, block)
        f, c, size = self.view(shape)
        return np.repeat(np.arange(f * c), size).reshape(shape)

    def mask(self, scores: Weight, density: float, block: Block = ()) -> Mask:
        """Give each kernel the pattern that keeps most of its score; then drop the weakest."""
        check_density(density)
        most = self.limit(scores.shape, block)
        f, c, size = self.view(scores.shape)
        if density > most + 1e-9:
            least = math.ceil(density * size - 1e-9)
            raise FormatError(
                f"pattern-{block[0]}x{block[1]} keeps at most {most:.4g} of the weights, but a "
                f"density of {density:.4g} was asked for: use pattern-{least}x{block[1]}"
            )
        kernels = scores.reshape(f * c, size).astype(np.float64)
        library = libraries.derive(kernels, block, libraries.centre(scores.shape))
        kept = kernels @ library.T
        alive = best(kept.max(axis=1), round(density * scores.size / block[0]))
        keep = library[kept.argmax(axis=1)] & alive[:, None]
        return np.asarray(keep.reshape(scores.shape))

    def fits(self, weight: Weight, block: Block = ()) -> bool:
        """Whether at most L patterns of k positions cover the non-zeros of every kernel."""
        self.check(weight.shape, block)
        return libraries.find(self._kernels(weight), block[0], block[1]) is not None

    def detect(self, weight: Weight) -> Block | None:
        """Return the fewest positions and the fewest patterns that cover every kernel."""
        kernels = self._kernels(weight)
        if kernels.shape[1] == 1:
            return None
        kept = kernels.sum(axis=1)
        most = max(int(kept.max(initial=0)), 1)
        if most == kernels.shape[1] and (kept[kept > 0] < most).any():
            return None  # the pattern of all positions says nothing
        library = libraries.find(kernels, most, _LARGEST)
        if library is None:
            return None
        usual = (1, 2, 4, 6, 8, 12, 16, _LARGEST)
        return most, next(number for number in usual if len(library) <= number)

    def core(self, weight: Weight, block: Block = ()) -> Mask:
        """Return what lies in the pattern that keeps most of its kernel, for kernels worth it."""
        self.check(weight.shape, block)
        kernels = self._kernels(weight)
        sizes = abs(weight).reshape(kernels.shape).astype(np.float64)
        library = libraries.derive(sizes, block)
        kept = library[(sizes @ library.T).argmax(axis=1)] & kernels
        if libraries.find(kept, *block) is None:  # parts of patterns may hide which ones they are
            kept &= kept.sum(axis=1, keepdims=True) == block[0]
        worth = kept.sum(axis=1, keepdims=True) >= WORTH * block[0]
        return np.asarray((kept & worth).reshape(weight.shape))

    def nbytes(self, weight: Weight, block: Block = ()) -> int:
        """Return 4 bytes a stored weight and 4 a live kernel, and the library's bits."""
        kernels = self._kernels(weight)
        library = int(kernels.shape[1]) * block[1] // 8
        return int(kernels.any(axis=1).sum()) * (4 * block[0] + 4) + library

    def kernels(self, weight: Weight, block: Block = ()) -> KernelPatterns:
        """Return the live kernels with their patterns.

        Raises
        ------
        FormatError
            If the block does not suit the format, or more than L patterns would be needed.
        """
        self.check(weight.shape, block)
        kernels = self._kernels(weight)
        library = libraries.find(kernels, block[0], block[1])
        if library is None:
            raise FormatError(
                f"pattern-{block[0]}x{block[1]} stores {block[1]} patterns of {block[0]} "
                "positions, the kernels hold more: use the block that is found, or prune with this"
            )
        filters, patterns = len(weight), len(library)
        live = np.nonzero(kernels.any(axis=1))[0]
        pattern = libraries.assign(kernels[live], library)
        filter_, channel = np.divmod(live, weight.shape[1])
        order = np.lexsort((channel, pattern, filter_))
        begins = np.searchsorted(
            (filter_ * patterns + pattern)[order], np.arange(filters * patterns + 1)
        )
        at = np.arange(filters)[:, None] * patterns + np.arange(patterns + 1)
        positions = np.nonzero(library)[1].reshape(patterns, -1)[pattern[order]]
        values = weight.reshape(kernels.shape)[live[order, None], positions]
        return KernelPatterns(
            library=library,
            ptr=begins[at].astype(np.int64),
            channel=channel[order].astype(np.int32),
            values=values + np.zeros((), weight.dtype),
        )

    def pack(self, weight: Weight, block: Block = ()) -> Packed:
        """Store the live kernels, with one channel number each."""
        found = self.kernels(weight, block)
        return Packed(
            format=self.name,
            block=block,
            shape=weight.shape,
            values=found.values,
            index=smallest(found.channel, weight.shape[1] - 1),
            ptr=smallest(np.append(found.ptr[:, :-1], len(found.channel))),
            library=found.library,
        )

    def unpack(self, packed: Packed) -> Weight:
        """Return the dense weight that was packed."""
        f, patterns = packed.shape[0], len(packed.library)
        at = np.arange(f)[:, None] * patterns + np.arange(patterns + 1)
        found = KernelPatterns(
            library=packed.library,
            ptr=packed.ptr.astype(np.int64)[at],
            channel=packed.index.astype(np.int32),
            values=packed.values,
        )
        out = np.zeros(self.view(packed.shape), packed.values.dtype)
        positions = found.positions[found.pattern]
        out[found.filter[:, None], found.channel[:, None], positions] = found.values
        return out.reshape(packed.shape)

    def rows(self, weight: Weight, block: Block = ()) -> RowBlocks:
        """Return one block a filter, its kernels sorted by (pattern, channel)."""
        found = self.kernels(weight, block)
        k, size = found.values.shape[1], self.view(weight.shape)[2]
        taps = found.channel[:, None] * size + found.positions[found.pattern]
        return RowBlocks(
            ptr=np.append(found.ptr[:, 0], len(found.channel)) * k,
            taps=taps.reshape(-1).astype(np.int32),
            values=found.values.reshape(-1, 1),
            order=np.arange(len(weight), dtype=np.int32),
        )

    def register_filters(self, shape: tuple[int, ...], block: Block = ()) -> int:
        """Return 1: every filter has taps of its own."""
        return 1

    def _kernels(self, weight: Weight) -> Mask:
        """Return the non-zeros as (F · C, K)."""
        f, c, size = self.view(weight.shape)
        return np.asarray((weight != 0).reshape(f * c, size))


FORMAT = PatternSparse()
