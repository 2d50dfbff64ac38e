"""Pattern libraries: a few sets of kernel positions, from scores or from zeros."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tvm_sparse.formats.protocol import Block, Mask, Weight


def centre(shape: tuple[int, ...]) -> int:
    """Return the position in the middle of the kernels of a weight (F, C, Kh, Kw)."""
    kernel = shape[2:]
    return int(np.ravel_multi_index([size // 2 for size in kernel], kernel))


def derive(scores: Weight, block: Block, middle: int | None = None) -> Mask:
    """Return the patterns that kernels would choose most often (PatDNN's procedure).

    Each kernel votes for its k highest scores, the middle always among them if one is given; the L
    patterns with most votes stay.

    Parameters
    ----------
    scores : array of shape (n, K)
        Scores of n kernels, at least 0; kernels without any score do not vote.
    block : (int, int)
        k and L.
    middle : int, optional
        A position that every pattern keeps.

    Returns
    -------
    bool array of shape (at most L, K)
    """
    k, patterns = block
    raised = scores[scores.any(axis=1)] if scores.any() else scores[:1].copy()
    if middle is not None:
        raised[:, middle] = np.inf
    chosen = np.argsort(-raised, axis=1, kind="stable")[:, :k]
    votes = np.zeros(raised.shape, bool)
    np.put_along_axis(votes, chosen, True, axis=1)
    first, _, number = _distinct(votes)
    return votes[first[np.argsort(-number, kind="stable")[:patterns]]]


def find(kernels: Mask, k: int, most: int) -> Mask | None:
    """Return at most `most` patterns of `k` positions that cover every kernel's, or None.

    Kernels with k positions give the patterns. Those with fewer, largest and commonest first, join
    the first pattern that has room for them, and where none has, begin a new one.

    Parameters
    ----------
    kernels : bool array of shape (n, K)
        The positions that each kernel keeps.
    k, most : int

    Returns
    -------
    bool array of shape (L, K), 1 <= L <= most
    """
    first, _, number = _distinct(kernels)
    found = kernels[first]
    size = found.sum(axis=1)
    if size.max(initial=0) > k or (size == k).sum() > most:
        return None
    library: list[Mask] = []
    for positions in found[np.lexsort((-number, -size))]:
        unions = [pattern | positions for pattern in library]
        room = next((i for i, union in enumerate(unions) if union.sum() <= k), None)
        if room is not None:
            library[room] = unions[room]
        elif positions.any():
            library.append(positions)
        if len(library) > most:
            return None
    nothing = np.zeros(kernels.shape[1], bool)
    return np.stack([_filled(pattern, k) for pattern in library or [nothing]])


def assign(kernels: Mask, library: Mask) -> npt.NDArray[np.int64]:
    """Return for each kernel the first pattern that covers it."""
    first, inverse, _ = _distinct(kernels)
    covers = (library[None] >= kernels[first][:, None]).all(axis=2)
    return np.asarray(covers.argmax(axis=1)[inverse])


def _filled(positions: Mask, k: int) -> Mask:
    """Add the lowest positions until there are k."""
    out = positions.copy()
    out[np.nonzero(~positions)[0][: k - int(positions.sum())]] = True
    return out


def _distinct(
    rows: Mask,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first of each set of equal rows, the set of each row, and how many it holds."""
    bits = np.packbits(rows, axis=1)
    fill = -bits.shape[1] % 8
    words = np.ascontiguousarray(np.pad(bits, ((0, 0), (0, fill)))).view(np.uint64)
    keys = words[:, 0] if words.shape[1] == 1 else words.view(f"V{words.shape[1] * 8}")[:, 0]
    _, first, inverse, number = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    return first, inverse.reshape(-1), number
