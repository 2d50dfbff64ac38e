"""Blocks on which every format is tested, and weights that fit it."""

from __future__ import annotations

import numpy as np

from tvm_sparse import formats
from tvm_sparse.formats.protocol import Block, Weight

_BY_SIZES: dict[int, tuple[Block, ...]] = {
    0: ((),),
    1: ((2,), (4,), (16,)),
    2: ((4, 2), (8, 4), (3, 5)),
}
_BY_NAME: dict[str, tuple[Block, ...]] = {
    "nm": ((2, 4), (4, 8), (3, 5)),
    "pattern": ((4, 8), (3, 2)),
    "periodic": ((2, 2), (4, 2), (1, 3)),
}


def blocks(name: str) -> tuple[Block, ...]:
    return _BY_NAME.get(name) or _BY_SIZES[len(formats.get(name).blocks[0])]


def cases() -> list[tuple[str, Block]]:
    return [(name, block) for name in formats.names() for block in blocks(name)]


def pruned(weight: Weight, name: str, block: Block, density: float = 0.4) -> Weight:
    """The weight, pruned to a density or to the largest that the format can leave."""
    form = formats.get(name)
    keep = form.mask(abs(weight), min(density, form.limit(weight.shape, block)), block)
    return np.asarray(weight * keep)


def takes_any_weight(name: str) -> bool:
    """Whether the format stores weights of any pattern, with explicit zeros."""
    return formats.get(name).limit((64, 64, 3, 3), blocks(name)[0]) == 1.0
