"""Linear layers in bfloat16: two neighbouring channels are a word, and a product of words is two.

Weights and inputs are rounded to bfloat16, sums are floats. A layer over words is one of half the
channels, so that zeros, panels and the cost formula are those of floats; a panel skips words that
none of its filters keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tvm_sparse import amx_kernel, kernel, sixteen
from tvm_sparse.amx import SIDE, AmxPanelTile
from tvm_sparse.choose import Choice
from tvm_sparse.cost import Work
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.rows import RowBlocks, from_matrix
from tvm_sparse.scheme import Scheme
from tvm_sparse.tile import PanelTile

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

CHANNELS = 2  # of a word
_MARGIN = 0.9
_JOIN = 4.0  # cycles to round and join a vector of inputs


@dataclass(frozen=True, kw_only=True)
class PairChoice:
    """How one layer is computed in pairs.

    Parameters
    ----------
    layer : Layer
        Over words.
    words : int32 array of shape (F, ceil(C / 2))
    kernel : Kernel
        Over words, with filters in lanes.
    rows : RowBlocks, optional
        The words that panels keep; none if all are multiplied. Their tiles, with AMX.
    """

    layer: Layer
    words: npt.NDArray[np.int32]
    kernel: Kernel
    rows: RowBlocks | None = None

    def used(self, choice: Choice) -> Scheme:
        """Return the scheme of the weight as it is stored."""
        if self.rows is None or not choice.is_sparse:
            return Scheme(format="dense", bits=sixteen.BITS)
        deep = SIDE if isinstance(self.kernel.tile, AmxPanelTile) else 1
        block, density = (self.rows.filters, CHANNELS * deep), choice.found.density
        return Scheme(format="block_punched", block=block, density=density, bits=sixteen.BITS)


def choose(
    choice: Choice, weight: npt.NDArray[Any], target: Target, margin: float = _MARGIN
) -> PairChoice | None:
    """Return the kernel of pairs for a linear layer, or None where floats are faster.

    Parameters
    ----------
    choice : Choice
        How the layer is computed in floats, and whether zeros are to be used.
    weight : array of shape (F, C)
    target : Target
    margin : float
        Share of the float kernel's time that it may be predicted to take.
    """
    layer = choice.layer
    words = joined(weight)
    over = replace(layer, weight=words.shape)
    every = _panels(kernel.dense(over, target))
    found = PairChoice(layer=over, words=words, kernel=every)
    for vectors in (1, 2, 4) if choice.is_sparse else ():
        rows = from_matrix(words, words != 0, vectors * target.lanes)
        work = Work(blocks=rows.blocks, taps=len(rows.taps), filters=rows.filters)
        for best in kernel.sparse_panels(over, work, target):
            if len(rows.taps) and best.seconds < found.kernel.seconds:
                found = PairChoice(layer=over, words=words, kernel=best, rows=rows)
    for tiles, best in _in_tiles(over, choice.is_sparse, words, target):
        if best.seconds < found.kernel.seconds:
            found = PairChoice(layer=over, words=words, kernel=best, rows=tiles)
    join = layer.positions * layer.channels / target.lanes * _JOIN / (target.ghz * 1e9)
    return found if found.kernel.seconds + join < margin * choice.kernel.seconds else None


def _in_tiles(
    layer: Layer, sparse: bool, words: npt.NDArray[Any], target: Target
) -> Iterator[tuple[RowBlocks, Kernel]]:
    """Yield the kernels with tiles of AMX, if the target has them."""
    if amx_kernel.suits(layer, target):
        keep = words != 0 if sparse else np.ones(words.shape, bool)
        yield from amx_kernel.panels(layer, words, keep, target)


def joined(weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a (F, C) weight as (F, ceil(C / 2)) words, the first channel in the low half."""
    plain = weight + np.float32(0)  # a zero with a sign would look like a weight
    bits = np.pad(sixteen.stored(plain, "bfloat16"), ((0, 0), (0, weight.shape[1] % CHANNELS)))
    return np.ascontiguousarray(bits).view(np.int32)


def _panels(best: Kernel) -> Kernel:
    assert isinstance(best.tile, PanelTile)  # dense linear layers have filters in lanes
    return best
