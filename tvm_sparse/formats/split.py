"""A weight as the sum of a core that fits a format, and a rest of single weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tvm_sparse import formats
from tvm_sparse.formats.protocol import Block, SparseFormat, Weight

_STRAYS = 0.05  # share of the non-zeros that may lie outside of the core
_ALIKE = 1.02  # descriptions whose bytes differ by less than this are equally good
_GAIN = 0.8  # share that a description may take of the bytes of single weights, or of all weights
_SAMPLE = 1 << 16  # weights on which blocks are compared


@dataclass(frozen=True, kw_only=True)
class Split:
    """Two weights of one shape with disjoint non-zeros; their sum is the weight that was split.

    Parameters
    ----------
    core : array
        What the format stores: no weight lies in a box, kernel or set that is not worth it.
    rest : array
        What is stored one by one.
    """

    core: Weight
    rest: Weight

    @property
    def strays(self) -> float:
        """The rest's share of all non-zeros."""
        core, rest = (int(np.count_nonzero(part)) for part in (self.core, self.rest))
        return rest / max(core + rest, 1)


def split(weight: Weight, name: str, block: Block = ()) -> Split:
    """Split a weight into what a format stores well, and the rest.

    Any weight can be split for any format, without loss; a weight of another pattern has a large
    rest. What a format stores well is told by its `core`: boxes (kernels, sets) in which enough
    weights are not zero, see `tvm_sparse.formats.protocol.WORTH`.

    Parameters
    ----------
    weight : array
    name, block
        The format, with its block.

    Raises
    ------
    FormatError
        If there is no such format, or the block does not suit it.
    """
    core = formats.get(name).core(weight, block)
    zero = np.zeros((), weight.dtype)
    return Split(core=np.where(core, weight, zero), rest=np.where(core, zero, weight))


def nearest(
    weight: Weight, names: Sequence[str], strays: float = _STRAYS
) -> tuple[str, Block] | None:
    """Return the format and block that describe a weight best but for a few strays.

    Parameters
    ----------
    weight : array
    names : sequence of str
        The formats to try; of formats that differ by less than 2 % in bytes the first is taken.
    strays : float
        The largest share of the non-zeros that may be left over.

    Returns
    -------
    (str, block), or None if none takes a fifth less than single weights and than all weights.
    """
    found: dict[tuple[str, Block], float] = {}
    for name in names:
        form = formats.get(name)
        tried = _blocks(weight, form, strays)
        costs = {block: _bytes(weight, form, block, strays) for block in tried}
        block = min(costs, key=lambda b: costs[b], default=None)
        if block is not None:
            found[name, block] = costs[block]
    fewest = min(found.values(), default=np.inf)
    if fewest > _GAIN * min(8 * int(np.count_nonzero(weight)), 4 * weight.size):
        return None
    return next(which for which, nbytes in found.items() if nbytes <= _ALIKE * fewest)


def _blocks(weight: Weight, form: SparseFormat, strays: float) -> Iterator[Block]:
    """Yield the blocks to try: of several the two that are best on a part of the filters."""
    suited = [block for block in form.blocks if form.suits(weight.shape, block)]
    taps = weight.size // len(weight)
    few = weight[: max(_SAMPLE // taps // 32, 1) * 32]
    if len(suited) < 2 or len(few) == len(weight):
        yield from suited
        return
    costs = {block: _bytes(few, form, block, 2 * strays) for block in suited}
    likely = [block for block in suited if np.isfinite(costs[block])]
    yield from sorted(likely, key=lambda block: costs[block])[:2]


def _bytes(weight: Weight, form: SparseFormat, block: Block, strays: float) -> float:
    """Return the bytes of core and rest; infinite if too much is left over."""
    core = form.core(weight, block)
    number = int(np.count_nonzero(weight))
    rest = number - int(np.count_nonzero(core))
    return form.nbytes(core, block) + 8 * rest if rest <= strays * number else np.inf
