"""The ways to cut a layer's positions, and its channels, that are worth comparing."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.tile import Tile

if TYPE_CHECKING:
    from tvm_sparse.cost import Work
    from tvm_sparse.targets import Target

_SETS = 64  # of an L1 cache whose index lies within a page: 4096 / 64
_TILE_SHARE = 0.85  # share of L2 that a tile's packed input may take
_SLICE_SHARE = 0.8  # share of L1 that a slice of channels may take
_SUMS_SHARE = 0.7  # share of the registers that sums may take then


@cache
def tilings(layer: Layer, target: Target) -> tuple[Plane, ...]:
    """Return the tilings whose packed input stays in L2; the smallest tile in any case."""
    sizes = _runs(layer, target.lanes) if layer.pointwise else range(1, layer.output[1] + 1)
    planes = [
        Plane(layer=layer, step=target.lanes, run=size)
        if layer.pointwise
        else Plane(layer=layer, step=target.lanes, rows=size)
        for size in sizes
    ]
    planes += [replace(p, in_place=True) for p in planes if _in_place(p, target)]
    space = _TILE_SHARE * target.l2 / 4
    return tuple(p for p in planes if p is planes[0] or p.channel * layer.channels <= space)


def _in_place(plane: Plane, target: Target) -> bool:
    """Whether a tile's input can be read where it stands.

    Nothing may be ragged, and lines must spread over all sets of L1, however far apart
    channels are.
    """
    if not plane.flat or plane.positions % plane.run or plane.positions % target.lanes:
        return False
    lines = target.line // 4
    return plane.run >= math.gcd(plane.positions // lines, _SETS) * lines


def _runs(layer: Layer, lanes: int) -> list[int]:
    """Return the runs of positions that cut an image into 1, 2, 3, … tiles, shortest first."""
    vectors = -(-Plane(layer=layer, step=lanes, run=lanes).positions // lanes)
    return sorted({-(-vectors // parts) * lanes for parts in range(1, vectors + 1)})


def sliced(plane: Plane, tile: Tile, work: Work, target: Target) -> list[Tile]:
    """Return the tile with its channels in slices, if that may pay.

    It may for lists of single weights: what such a list reads is rarely in L1 by chance. Slices
    fill L1, and are as many as that takes, of nearly the same size. Register tiles of very many
    vectors leave no registers to overlap the lists with.
    """
    if not work.single or tile.vectors > _SUMS_SHARE * target.registers:
        return []
    channels = plane.layer.weight[1]
    most = int(_SLICE_SHARE * target.l1) // (4 * plane.touched(tile.vectors * tile.lanes))
    if not 0 < most < channels:
        return []
    return [replace(tile, slice=-(-channels // -(-channels // most)), direct=0)]
