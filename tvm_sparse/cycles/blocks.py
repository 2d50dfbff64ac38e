"""Basic blocks: instructions that run one after the other, equally often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tvm_sparse.cycles import instructions
from tvm_sparse.cycles.program import Counted


@dataclass(frozen=True, kw_only=True)
class Block:
    """Instructions that run one after the other.

    Parameters
    ----------
    address : int
    words : tuple of int
    count : int
        How often they ran.
    """

    address: int
    words: tuple[int, ...]
    count: int

    @property
    def multiply_adds(self) -> int:
        """Instructions that multiply and add whole vectors of floats."""
        return int(instructions.multiply_adds(np.array(self.words, np.uint32)).sum())

    @property
    def is_loop(self) -> bool:
        """Whether the block is the whole body of a loop."""
        return instructions.target(self.words[-1]) == 1 - len(self.words)


def executed(counted: Counted) -> list[Block]:
    """Return the blocks that ran, in the order of their addresses."""
    begins = instructions.leaders(counted.words)
    begins[1:] |= counted.counts[1:] != counted.counts[:-1]
    starts = np.nonzero(begins)[0]
    found = []
    for start, end in zip(starts, [*starts[1:], len(counted.words)], strict=True):
        times = int(counted.counts[start])
        if times:
            words = tuple(int(word) for word in counted.words[start:end])
            found.append(Block(address=counted.address + 4 * int(start), words=words, count=times))
    return found
