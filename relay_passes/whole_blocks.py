"""Dead filters go only where the blocks of the others stay whole.

Filters of a block share their taps. One filter that is taken out moves all that follow into other
blocks, which then store the taps of two::

    filters   0 1 2 3 | 4 5 6 7 | 8 …     2 is dead
    without   0 1 3 4 | 5 6 7 8 | …       each block has taps of two of the old ones

A dead filter that stays in a block with live ones costs nothing: they are computed together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse import formats
from tvm_sparse.choose import SHARED, find

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

_SEEN = 64  # inputs of the first layer, and filters of the second, that show how zeros are blocked


def around(producer: Array, consumer: Array, kept: Mask) -> Mask:
    """Return which channels to keep between two layers, so that their kernels load least.

    Parameters
    ----------
    producer : array of shape (F, …)
    consumer : array of shape (…, F, …), channels second
    kept : bool array of shape (F,)
        The channels that must stay.

    Returns
    -------
    bool array of shape (F,)
        `kept`; or also what stands in one block with these; or everything.
    """
    producer, consumer = producer[:, :_SEEN], consumer[:_SEEN]
    found = find(producer)
    block = formats.get(found.format).register_filters(producer.shape, found.block)
    padded = np.pad(kept, (0, -len(kept) % block)).reshape(-1, block)
    with_blocks = np.repeat(padded.any(axis=1), block)[: len(kept)]
    options = {mask.tobytes(): mask for mask in (kept, with_blocks, np.ones_like(kept))}

    def loads(mask: Mask) -> int:
        return _loads(producer[mask]) + _loads(consumer[:, mask])

    return kept if len(options) == 1 else min(options.values(), key=loads)


def _loads(weight: Array) -> int:
    """Return the words that a kernel loads for a position: weights, their indices and inputs."""
    found = find(weight)
    ways = [(found.format, found.block), *(("block_punched", (p, 1)) for p in SHARED)]
    return min(
        formats.get(name).nbytes(weight, block) // 4 + formats.get(name).count(weight, block).taps
        for name, block in ways
    )
