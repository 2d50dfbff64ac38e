"""Sets of filters, not neighbours, that keep the same taps: small dense blocks once regrouped.

Chen et al., "Coarsening the Granularity: Towards Structurally Sparse Lottery Tickets", ICML 2022
(regrouping). There, a hypergraph partitioner finds the sets; here, a greedy clustering.
"""

from __future__ import annotations

import itertools
from typing import ClassVar

import numpy as np

from tvm_sparse.formats import clusters
from tvm_sparse.formats.protocol import (
    WORTH,
    Block,
    Mask,
    Packed,
    SparseFormat,
    Weight,
    check_density,
    smallest,
)
from tvm_sparse.rows import RowBlocks, from_matrix

_LEAST = 4  # filters of a set
_SIZE = 8  # filters of a set that a mask makes, and of a block of rows


class Regrouped(SparseFormat):
    """Dense blocks of some filters × some taps; every filter that is left belongs to one of them.

    Any weight can be packed: filters whose taps no other filter keeps are sets of one. In `Packed`,
    `order` lists the filters set by set, `index` each set's taps, `values` its block, flattened;
    ``ptr[0]`` says where each set begins in `order`, ``ptr[1]`` where in `index`.
    """

    name: ClassVar[str] = "regrouped"

    def suits(self, shape: tuple[int, ...], block: Block = ()) -> bool:
        """Whether there are filters for a set."""
        return super().suits(shape, block) and shape[0] >= _LEAST

    def mask(self, scores: Weight, density: float, block: Block = ()) -> Mask:
        """Cluster filters by where their highest scores lie; keep each cluster's best taps."""
        check_density(density)
        self.check(scores.shape, block)
        matrix = scores.reshape(len(scores), -1).astype(np.float64)
        sets = clusters.even(matrix >= np.quantile(matrix, 1 - density), _SIZE)
        keep = clusters.densest(matrix, sets, round(density * matrix.size))
        return keep.reshape(scores.shape)

    def fits(self, weight: Weight, block: Block = ()) -> bool:
        """Whether every filter that is not zero keeps the taps of at least 3 others."""
        self.check(weight.shape, block)
        return all(len(members) >= _LEAST for members in clusters.equal(_taps(weight)))

    def core(self, weight: Weight, block: Block = ()) -> Mask:
        """Return the non-zeros at taps that at least `WORTH` of a set of similar filters keep."""
        self.check(weight.shape, block)
        taps = _taps(weight)
        worth = np.zeros(taps.shape, bool)
        for members in clusters.alike(taps, _LEAST):
            worth[members] = taps[members].mean(axis=0) >= WORTH
        return np.asarray((worth & taps).reshape(weight.shape))

    def nbytes(self, weight: Weight, block: Block = ()) -> int:
        """Return 4 bytes a stored weight, a filter, and a tap of a set."""
        taps = _taps(weight)
        return sum(
            4 * (len(members) + 1) * int(taps[members].any(axis=0).sum()) + 4 * len(members)
            for members in _sets(taps)
        )

    def pack(self, weight: Weight, block: Block = ()) -> Packed:
        """Store each set's block."""
        self.check(weight.shape, block)
        matrix, taps = weight.reshape(len(weight), -1), _taps(weight)
        sets = clusters.equal(taps)
        columns = [np.nonzero(taps[members[0]])[0] for members in sets]
        nothing = [np.zeros(0, np.int64)]
        blocks = [matrix[np.ix_(m, c)].reshape(-1) for m, c in zip(sets, columns, strict=True)]
        ends = [np.cumsum([0, *map(len, parts)]) for parts in (sets, columns)]
        return Packed(
            format=self.name,
            block=block,
            shape=weight.shape,
            values=np.concatenate([np.zeros(0, weight.dtype), *blocks]),
            index=smallest(np.concatenate(nothing + columns), matrix.shape[1] - 1),
            order=smallest(np.concatenate(nothing + sets), len(weight) - 1),
            ptr=smallest(np.stack(ends)),
        )

    def unpack(self, packed: Packed) -> Weight:
        """Return the dense weight that was packed."""
        out = np.zeros((packed.shape[0], int(np.prod(packed.shape[1:]))), packed.values.dtype)
        begin = 0
        for (f0, t0), (f1, t1) in itertools.pairwise(packed.ptr.T.astype(np.int64)):
            members, columns = packed.order[f0:f1], packed.index[t0:t1]
            end = begin + len(members) * len(columns)
            part = packed.values[begin:end].reshape(len(members), -1)
            out[np.ix_(members.astype(np.int64), columns.astype(np.int64))] = part
            begin = end
        return out.reshape(packed.shape)

    def rows(self, weight: Weight, block: Block = ()) -> RowBlocks:
        """Return blocks of 8 filters of one set; filters of no set follow, in their order."""
        filters = self.register_filters(weight.shape, block)
        taps = _taps(weight)
        keep, grouped = np.zeros(taps.shape, bool), [np.zeros(0, np.int64)]
        left = np.asarray(taps.any(axis=1))
        for members in _sets(taps):
            if len(members) >= _LEAST:
                keep[members] = taps[members].any(axis=0)
                left[members] = False
                grouped.append(np.pad(members, (0, -len(members) % filters), constant_values=-1))
        keep[left] = taps[left]
        order = np.concatenate([*grouped, np.nonzero(left)[0]]).astype(np.int32)
        return from_matrix(weight.reshape(keep.shape), keep, filters, order)

    def register_filters(self, shape: tuple[int, ...], block: Block = ()) -> int:
        """Return 8, or the largest power of two that the filters fill."""
        self.check(shape, block)
        return 1 << (min(_SIZE, shape[0]).bit_length() - 1)


def _taps(weight: Weight) -> Mask:
    return np.asarray((weight != 0).reshape(len(weight), -1))


def _sets(taps: Mask) -> list[clusters.Filters]:
    """Return sets of filters with equal taps, or, if these are small, of filters with similar ones.

    The second kind is what strays and zeros by chance leave of the first.
    """
    exact = clusters.equal(taps)
    if all(len(members) >= _LEAST for members in exact):
        return exact
    found = clusters.alike(taps, _LEAST)
    used = np.concatenate([np.zeros(0, np.int64), *found])
    alone = np.setdiff1d(np.nonzero(taps.any(axis=1))[0], used)
    return found + [np.array([number]) for number in alone]


FORMAT = Regrouped()
