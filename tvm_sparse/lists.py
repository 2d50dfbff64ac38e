"""How long it takes to multiply lists of single weights, each filter's taps one by one.

Nothing but a weight is shared between the vectors of a register tile, so that loads decide: one
broadcast a tap and one load a vector, more where rows are not aligned to vectors. The share of a
register tile's input that exceeds L1 is drawn from L2. Lists overlap: the sums of the next filter
begin while the last multiply-adds of this one are under way.

The constants were fitted to 785 measured kernels (AMD Zen 5, ResNet, BERT and ViT layers at
densities of 0.05 to 0.5, random tiles and slices): mean error 12 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm_sparse.plane import Plane
from tvm_sparse.tile import Tile

if TYPE_CHECKING:
    from tvm_sparse.cost import Work
    from tvm_sparse.targets import Target

_L1_SHARE = 0.75  # share of L1 that holds inputs
_UNALIGNED = 1.4  # loads of a vector that begins anywhere
_DRAW = 0.55  # cycles to draw a vector from L2
_LIST = 2.0  # cycles to begin and end a list
_SUM = 1.4  # cycles to add a vector of sums to those in cache
_STORE = 4.0  # cycles to store a vector of outputs
_DIRECT = 2.0  # the same from registers


def cycles(plane: Plane, tile: Tile, work: Work, target: Target) -> float:
    """Return the cycles of a product over blocks of one filter, with sums and stores.

    Parameters
    ----------
    plane, tile, work
        The kernel.
    target : Target
    """
    layer = plane.layer
    tiles = plane.all_tiles
    parts = tile.parts(plane.length)
    channels = tile.slice or layer.weight[1]
    slices = -(-layer.weight[1] // channels)
    taps = work.taps * sum(n * _tap(plane, channels, v * tile.lanes, target) for (v, _), n in parts)
    lists = work.blocks * slices * sum(number for _, number in parts) * _LIST
    sums = work.blocks * slices * plane.length / tile.lanes * _SUM * (1 - tile.direct)
    stored = layer.positions * layer.filters / tile.lanes
    return tiles * (taps + lists + sums) + stored * (_DIRECT if tile.direct else _STORE)


def _tap(plane: Plane, channels: int, lanes: int, target: Target) -> float:
    """Return the cycles of one tap of one register tile, among so many channels."""
    vectors = lanes / target.lanes
    loads = vectors * (1.0 if plane.reach == (0, 0) else _UNALIGNED) + 1
    load = target.list_load * loads / target.loads_per_cycle
    multiply = vectors / target.fma_per_cycle
    inputs = plane.touched(lanes) * channels * 4
    missing = max(0.0, 1 - _L1_SHARE * target.l1 / inputs)
    return target.tap + max(load, multiply) + missing * vectors * target.bits / 512 * _DRAW
