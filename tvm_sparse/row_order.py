"""In which order workgroups compute filters: alike ones side by side, long rows beside long ones.

Filters that keep equal taps make blocks wherever they stand. Blocks of a workgroup wait for the
longest of them, so blocks are sorted by their taps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tvm_sparse.formats import clusters
from tvm_sparse.formats.protocol import Mask
from tvm_sparse.layer import Layer
from tvm_sparse.workgroup import Workgroup

_WORTH = 0.95  # another order must leave at most this share of the work
Order = npt.NDArray[np.int32]


def found(layer: Layer, tile: Workgroup, kept: Mask) -> Order | None:
    """Return which filter each row computes, or None where filters stay as they are.

    Parameters
    ----------
    layer : Layer
    tile : Workgroup
    kept : bool array of shape (F, taps)
        Which weights are stored.

    Returns
    -------
    int32 array of shape (F,), or None
        A permutation of the filters of each group.
    """
    if layer.dtype == "int8":  # neighbouring filters are bytes of one word
        return None
    own = layer.filters // layer.groups
    parts = [_arranged(part, tile.filters) for part in np.split(kept, layer.groups)]
    order = np.concatenate([group * own + part for group, part in enumerate(parts)])
    if _work(kept[order], tile) >= _WORTH * _work(kept, tile):
        return None
    return order.astype(np.int32)


def _arranged(kept: Mask, filters: int) -> npt.NDArray[np.int64]:
    """Return the filters of a group in blocks of equal taps, others after them, all by length."""
    sets = [members[: len(members) // filters * filters] for members in clusters.equal(kept)]
    alike = np.concatenate([*sets, np.zeros(0, np.int64)]).astype(np.int64)
    others = np.setdiff1d(np.arange(len(kept)), alike)
    others = others[np.argsort(-kept[others].sum(axis=1), kind="stable")]
    order = np.concatenate([alike, others])
    whole = len(order) // filters * filters  # the last block is filled up, and stays the last
    blocks = order[:whole].reshape(-1, filters)
    lengths = kept[blocks].any(axis=1).sum(axis=1)
    blocks = blocks[np.argsort(-lengths, kind="stable")]
    return np.concatenate([blocks.reshape(-1), order[whole:]])


def _work(kept: Mask, tile: Workgroup) -> int:
    """Return the taps that all workgroups take, each as many for a block as its longest block."""
    lengths = _blocks(kept, tile.filters).any(axis=1).sum(axis=1)
    groups = np.pad(lengths, (0, -len(lengths) % tile.blocks)).reshape(-1, tile.blocks)
    return int(groups.max(axis=1).sum())


def _blocks(kept: Mask, filters: int) -> Mask:
    padded = np.pad(kept, ((0, -len(kept) % filters), (0, 0)))
    return padded.reshape(-1, filters, kept.shape[1])
