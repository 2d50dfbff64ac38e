"""The form in which kernels read codes of four bits: panels of filters, a word of codes a lane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse import nibbles
from tvm_sparse.nibbles import PER_WORD, Nibbles

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class NibbleRows:
    """Codes of panels of P filters that share a list of channels.

    Word ``k`` of panel ``p``, with ``ptr[p] <= k < ptr[p + 1]``, holds for each filter the codes of
    the channels ``channel[8 * k]`` to ``channel[8 * k + 7]``, all of group ``group[k]``. Lists are
    filled up to words by codes that stand for zero, at channel 0.

    Parameters
    ----------
    words : int32 array of shape (n, P)
    scale : float32 array of shape (panels, groups, P)
        Or (panels, 2 groups, P) with zero points, see `Nibbles.steps`.
    channel : int32 array of shape (n * 8,)
    group : int32 array of shape (n,)
    ptr : int64 array of shape (panels + 1,)
    """

    words: npt.NDArray[np.int32]
    scale: npt.NDArray[np.float32]
    channel: npt.NDArray[np.int32]
    group: npt.NDArray[np.int32]
    ptr: npt.NDArray[np.int64]

    @property
    def sizes(self) -> tuple[int, int]:
        """Words over all panels, and scales of a filter."""
        return len(self.words), self.scale.shape[1]

    @property
    def longest(self) -> int:
        """Words of the longest list, at least 1."""
        return max(int(np.diff(self.ptr).max(initial=0)), 1)


def count(kept: npt.NDArray[np.bool_], filters: int, group: int) -> int:
    """Return how many words the panels of a (F, C) weight have."""
    lengths = _shared(kept, filters, group).sum(axis=2)
    return int((-(-lengths // PER_WORD)).sum())


def dense(stored: Nibbles, filters: int) -> tuple[npt.NDArray[np.int32], Array]:
    """Return all words (panels, words, P) and scales (panels, groups, P), see `NibbleRows`."""
    return _panels(nibbles.words(stored.filled()), filters), _panels(stored.steps, filters)


def sparse(stored: Nibbles, filters: int) -> NibbleRows:
    """Return the words of the channels that a filter of a panel keeps."""
    shared = _shared(stored.kept, filters, stored.group)
    panel, group, inside = np.nonzero(shared)
    lengths = shared.sum(axis=2)
    each = -(-lengths // PER_WORD)
    first = np.concatenate([[0], np.cumsum(each)])[:-1].reshape(each.shape)
    rank = (
        np.arange(len(panel))
        - np.concatenate([[0], np.cumsum(lengths)])[panel * shared.shape[1] + group]
    )
    place = first[panel, group] * PER_WORD + rank
    number = max(int(each.sum()), 1)
    channel = np.zeros(number * PER_WORD, np.int32)
    channel[place] = group * stored.group + inside
    owner = np.zeros(number, np.int32)
    owner[: int(each.sum())] = np.repeat(np.tile(np.arange(each.shape[1]), len(each)), each.flat)
    whose = np.zeros(number, np.int32)
    whose[: int(each.sum())] = np.repeat(np.arange(len(each)), each.sum(axis=1))
    codes = np.repeat(_panels(stored.zeros, filters)[whose, owner], PER_WORD, axis=0)
    codes[place] = _panels(stored.codes, filters)[panel, channel[place]]
    return NibbleRows(
        words=np.ascontiguousarray(nibbles.words(codes.T).T),
        scale=_panels(stored.steps, filters),
        channel=channel,
        group=owner,
        ptr=np.concatenate([[0], np.cumsum(each.sum(axis=1))]).astype(np.int64),
    )


def _shared(kept: npt.NDArray[np.bool_], filters: int, group: int) -> npt.NDArray[np.bool_]:
    """Return (panels, groups, group): which channels a panel keeps."""
    padded = np.pad(kept, ((0, -len(kept) % filters), (0, -kept.shape[1] % group)))
    each = padded.reshape(len(padded) // filters, filters, -1, group)
    found: npt.NDArray[np.bool_] = np.any(each, axis=1)
    return found


def _panels(array: Array, filters: int) -> Array:
    """Return (F, n) as (panels, n, P), filled up with zeros."""
    padded = np.pad(array, ((0, -len(array) % filters), (0, 0)))
    return np.ascontiguousarray(padded.reshape(-1, filters, array.shape[1]).transpose(0, 2, 1))
