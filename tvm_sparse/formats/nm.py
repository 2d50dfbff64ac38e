"""At most N of M neighbouring input channels stay, at each kernel position (N:M sparsity).

Mishra et al., "Accelerating Sparse Deep Neural Networks", arXiv 2104.08378 (2:4); Zhou et al.,
"Learning N:M Fine-grained Structured Sparse Neural Networks From Scratch", ICLR 2021.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tvm_sparse.errors import FormatError
from tvm_sparse.formats.protocol import (
    Block,
    Mask,
    Packed,
    SparseFormat,
    Weight,
    best,
    check_density,
)
from tvm_sparse.rows import RowBlocks, RowCount, from_matrix

_LARGEST = 16


class NofM(SparseFormat):
    """Block (N, M), 1 ≤ N ≤ M ≤ 16. If M does not divide the channels, the last group is smaller.

    Every group stores exactly N weights (a smaller one at most all of its own), zeros among them
    where it holds fewer, so that all filters have equally many taps. In `Packed`, `values` has the
    shape (F, groups, K, N), and `index` is a stream of bits: ⌈log2 M⌉ for each value, the channel
    within its group.
    """

    name: ClassVar[str] = "nm"
    blocks: ClassVar[tuple[Block, ...]] = (
        (2, 4),
        *((n, m) for m in (2, 4, 8, 16) for n in range(1, m // 2 + 1) if (n, m) != (2, 4)),
    )

    def objection(self, shape: tuple[int, ...], block: Block) -> str | None:
        """Refuse pairs that are none."""
        objection = super().objection(shape, block)
        if objection is None and not block[0] <= block[1] <= _LARGEST:
            return (
                f"format nm takes N x M with N <= M <= {_LARGEST} (e.g. 2x4), "
                f"got {block[0]}x{block[1]}"
            )
        return objection

    def suits(self, shape: tuple[int, ...], block: Block = ()) -> bool:
        """Whether there is a whole group of channels."""
        return super().suits(shape, block) and block[1] <= shape[1]

    def limit(self, shape: tuple[int, ...], block: Block = ()) -> float:
        """Return N / M, or a little more where the last group is smaller."""
        self.check(shape, block)
        return int(_taken(shape[1], block).sum()) / shape[1]

    def channel_step(self, shape: tuple[int, ...], block: Block = ()) -> int:
        """Return M."""
        return min(block[1], shape[1])

    def mask(self, scores: Weight, density: float, block: Block = ()) -> Mask:
        """Keep the N highest of each M; below that density, the highest of these."""
        check_density(density)
        most = self.limit(scores.shape, block)
        if density > most + 1e-9:
            least = math.ceil(density * block[1] - 1e-9)
            raise FormatError(
                f"nm-{block[0]}x{block[1]} keeps at most {most:.4g} of the weights, but a density "
                f"of {density:.4g} was asked for: use nm-{least}x{block[1]}"
            )
        view = scores.reshape(self.view(scores.shape)).astype(np.float64)
        slots = _slots(-view, block)
        ranked = np.where(slots, view, -np.inf)
        number = min(round(density * scores.size), int(slots.sum()))
        return best(ranked, number).reshape(scores.shape)

    def fits(self, weight: Weight, block: Block = ()) -> bool:
        """Whether no group holds more than N non-zeros."""
        self.check(weight.shape, block)
        nonzero = (weight != 0).reshape(self.view(weight.shape))
        return _largest_count(nonzero, block[1]) <= block[0]

    def detect(self, weight: Weight) -> Block | None:
        """Return the pair that stores the fewest weights; of equals the one with the smallest M."""
        nonzero = (weight != 0).reshape(self.view(weight.shape))
        found: list[Block] = []
        for m in (2, 4, 8, 16):
            few = nonzero[:: max(len(nonzero) // 16, 1)]
            if m <= nonzero.shape[1] and _largest_count(few, m) <= m // 2:
                n = max(_largest_count(nonzero, m), 1)
                found += [(n, m)] if n <= m // 2 else []
        return min(found, key=lambda b: _taken(nonzero.shape[1], b).sum(), default=None)

    def core(self, weight: Weight, block: Block = ()) -> Mask:
        """Return the N largest non-zeros of each group."""
        self.check(weight.shape, block)
        size = -abs(weight.reshape(self.view(weight.shape))).astype(np.float64)
        return np.asarray(_slots(size, block).reshape(weight.shape) & (weight != 0))

    def nbytes(self, weight: Weight, block: Block = ()) -> int:
        """Return 4 bytes and ⌈log2 M⌉ bits a stored weight."""
        stored = self.count(weight, block).taps
        return 4 * stored + -(-stored * _bits(block) // 8)

    def pack(self, weight: Weight, block: Block = ()) -> Packed:
        """Store N weights of each group."""
        keep = self._stored(weight, block)
        view = weight.reshape(keep.shape)
        f, c, k = keep.shape
        n, m = block
        values = np.zeros((f, -(-c // m), k, n), weight.dtype)
        index = np.zeros(values.shape, np.uint8)
        filter_, position, channel = np.nonzero(keep.transpose(0, 2, 1))
        starts = np.cumsum(np.append(0, _taken(c, block)))  # of each group in a filter's row
        place = np.arange(len(channel)) % starts[-1] - starts[channel // m]
        at = filter_, channel // m, position, place
        values[at] = view[filter_, channel, position] + np.zeros((), weight.dtype)
        index[at] = channel % m
        bits = (index.reshape(-1, 1) >> np.arange(_bits(block), dtype=np.uint8)) & 1
        stream = np.packbits(bits.astype(np.uint8), bitorder="little")
        return Packed(
            format=self.name, block=block, shape=weight.shape, values=values, index=stream
        )

    def unpack(self, packed: Packed) -> Weight:
        """Return the dense weight that was packed."""
        bits = _bits(packed.block)
        values, size = packed.values, packed.values.size
        stream = np.unpackbits(packed.index.astype(np.uint8), count=size * bits, bitorder="little")
        weigh = 1 << np.arange(bits)
        within = (stream.reshape(size, bits) @ weigh).astype(np.int64).reshape(values.shape)
        out = np.zeros(self.view(packed.shape), values.dtype)
        filter_, group, position, place = np.nonzero(values)
        at = filter_, group, position, place
        out[filter_, group * packed.block[1] + within[at], position] = values[at]
        return out.reshape(packed.shape)

    def rows(self, weight: Weight, block: Block = ()) -> RowBlocks:
        """Return one block a filter, all with equally many taps."""
        keep = self._stored(weight, block).reshape(len(weight), -1)
        return from_matrix(weight.reshape(keep.shape), keep, 1)

    def count(self, weight: Weight, block: Block = ()) -> RowCount:
        """Return the sizes of `rows`."""
        f, c, k = self.view(weight.shape)
        return RowCount(blocks=f, taps=f * k * int(_taken(c, block).sum()), filters=1)

    def register_filters(self, shape: tuple[int, ...], block: Block = ()) -> int:
        """Return 1: every filter has taps of its own."""
        return 1

    def _stored(self, weight: Weight, block: Block) -> Mask:
        """Return the (F, C, K) weights that are stored: N a group, zeros among them.

        Raises
        ------
        FormatError
            If a group holds more than N non-zeros.
        """
        self.check(weight.shape, block)
        nonzero = (weight != 0).reshape(self.view(weight.shape))
        most = _largest_count(nonzero, block[1])
        if most > block[0]:
            raise FormatError(
                f"nm-{block[0]}x{block[1]} stores {block[0]} of {block[1]} channels, "
                f"one group holds {most} non-zeros: use nm-{most}x{block[1]} or prune with this"
            )
        return _slots(~nonzero, block)


def _bits(block: Block) -> int:
    return (block[1] - 1).bit_length()


def _taken(channels: int, block: Block) -> npt.NDArray[np.int64]:
    """Return how many weights each group of channels stores at a kernel position."""
    n, m = block
    starts = np.arange(0, channels, m)
    return np.minimum(n, np.minimum(channels - starts, m))


def _slots(rank: Weight, block: Block) -> Mask:
    """Return the N weights of each group of (F, C, K) that rank lowest, lower channels first."""
    f, c, k = rank.shape
    n, m = block
    last = np.inf if rank.dtype.kind == "f" else 2
    wide = rank.astype(np.uint8) if rank.dtype == bool else rank
    groups = np.pad(wide, ((0, 0), (0, -c % m), (0, 0)), constant_values=last)
    first = np.argsort(groups.reshape(f, -1, m, k), axis=2, kind="stable")[:, :, :n]
    chosen = np.zeros((f, groups.shape[1] // m, m, k), bool)
    np.put_along_axis(chosen, first, True, axis=2)
    return chosen.reshape(groups.shape)[:, :c]


def _largest_count(nonzero: Mask, m: int) -> int:
    """Return the most non-zeros that a group of M channels holds."""
    whole = nonzero.shape[1] // m * m
    counts = [nonzero[:, i:whole:m].view(np.uint8) for i in range(m)]
    total = counts[0].copy()
    for count in counts[1:]:
        total += count
    rest = nonzero[:, whole:].sum(axis=1)
    return max(int(total.max(initial=0)), int(rest.max(initial=0)))


FORMAT = NofM()
