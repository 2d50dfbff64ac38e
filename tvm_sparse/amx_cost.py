"""How long a product of tiles of AMX takes: modelled, never measured.

The rates are those of Sapphire Rapids as Intel gives them ("Intel 64 and IA-32 Architectures
Optimization Reference Manual", chapter on AMX): a product of two tiles starts every 16 cycles and
ends after 52, a tile is loaded from L1 in 8 and stored in 16, configuring takes 204 and releasing
13. For each tap, the slowest of products, loads and what comes from L2 decides. Around the product
stand the same packing and storing as around any other integer kernel, see `tvm_sparse.cost`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm_sparse import cost
from tvm_sparse.amx import SIDE, AmxPanelTile, AmxTile
from tvm_sparse.cost import Work
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane

if TYPE_CHECKING:
    from tvm_sparse.targets import Target

_BYTES = 4 * SIDE * SIDE  # of a tile
_LOAD = 8.0  # cycles to load a tile from L1
_STORE = 16.0  # cycles to store one
_L2_BYTES = 48.0  # that a core draws from its L2 each cycle
_LATENCY = 52.0  # cycles until a tile of sums can be added to again
_TAP = 2.0  # cycles around a tap's products
_LIST = 20.0  # cycles to begin and end a list, as in `tvm_sparse.cost`
_OUTPUT = 5.0  # cycles to scale and store one vector of sums
_L2_SHARE = 0.75  # of L2 that weights may take and still come from there
_CONFIGURE = 217.0  # cycles to configure and release the tiles


def seconds(plane: Plane, tile: AmxTile, work: Work, target: Target, threads: int = 1) -> float:
    """Predict the time of a kernel with tiles of AMX.

    Parameters
    ----------
    plane, tile
        The kernel, over words.
    work : Work
        Its taps are tiles of sixteen words, of `tile.filters` filters.
    target : Target
    threads : int
    """
    rows, across = tile.filters // SIDE, plane.length // (tile.vectors * SIDE)
    products = work.taps * tap(plane, tile, work, target)
    ends = work.blocks * (_LIST + rows * tile.vectors * _STORE)
    cycles = plane.all_tiles * (across * (products + ends) + _CONFIGURE)
    cycles += plane.layer.positions * plane.layer.filters / SIDE * _OUTPUT
    in_words = Work(blocks=work.blocks, taps=SIDE * work.taps, filters=work.filters)
    return cost.with_surroundings(cycles, plane, tile, in_words, target, threads)


def panel_seconds(
    layer: Layer, tile: AmxPanelTile, work: Work, target: Target, threads: int = 1
) -> float:
    """Predict the time of a linear kernel over pairs of bfloat16; parameters as `seconds`."""
    rows, vectors = tile.rows // SIDE, tile.filters // SIDE
    tiles = -(-layer.positions // tile.rows)
    far = rows * (tile.rows * layer.channels * 4 > cost.L1_SHARE * target.l1)
    draw = (far + vectors) * _BYTES / _L2_BYTES
    multiply, load = rows * vectors * target.tile_cycles, (rows + vectors) * _LOAD
    one = max(multiply, load, draw, _LATENCY) + _TAP
    ends = work.blocks * (_LIST + rows * vectors * _STORE)
    product = tiles * (work.taps * one + ends) + work.blocks * _CONFIGURE
    product += layer.positions * -(-layer.filters // SIDE) * _OUTPUT
    parts = work.blocks if tile.parallel == "panels" else tiles
    share = -(-parts // threads) / parts
    in_words = SIDE * work.nbytes
    stream = in_words / (target.gbytes * 1e9) if in_words > _L2_SHARE * target.l2 else 0.0
    return max(product / (target.ghz * 1e9), stream) * share


def tap(plane: Plane, tile: AmxTile, work: Work, target: Target) -> float:
    """Return the cycles of one tap of one register tile; parameters as `seconds`."""
    rows, vectors = tile.filters // SIDE, tile.vectors
    draw = (rows * _BYTES + _from_l2(plane, tile, work, target)) / _L2_BYTES
    lines = 1 if plane.flat else 2  # of a row of inputs: windows begin anywhere
    multiply, load = rows * vectors * target.tile_cycles, (rows + lines * vectors) * _LOAD
    return max(multiply, load, draw, _LATENCY) + _TAP


def _from_l2(plane: Plane, tile: AmxTile, work: Work, target: Target) -> float:
    """Return the bytes of inputs that a tap draws from L2.

    Taps at several positions of the kernel read the same channels one after another.
    """
    lanes, words = tile.vectors * SIDE, plane.layer.weight[1]
    touched = plane.touched(lanes) * 4
    if touched * words <= cost.L1_SHARE * target.l1:
        return 0.0
    neighbours = work.taps / (work.blocks * -(-words // SIDE))
    return min(tile.vectors * _BYTES, touched * SIDE / max(neighbours, 1.0))
