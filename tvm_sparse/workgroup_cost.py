"""About how long a workgroup's kernel takes: what its threads multiply, load and stage.

A thread adds up L positions of P filters. A tap costs it P × L multiply-adds, P weights, L inputs
and an index; before that, all threads bring the chunk's input. Positions and filters that only
fill up a workgroup cost as much as others. How fast a device is does not matter here: times are
only compared with each other, and those of tables are learnt from measured ones.
"""

from __future__ import annotations

from tvm_sparse.layer import Layer
from tvm_sparse.workgroup import Workgroup

_STAGE = 8  # instructions to bring a float: its place, whether it is padding, a load, a store
_INDEX = 2  # instructions to find a tap's input
_SLOT = 2e-12  # seconds of an instruction, all threads of a device working


def seconds(layer: Layer, tile: Workgroup, taps: int) -> float:
    """Return the predicted time of a kernel.

    Parameters
    ----------
    layer : Layer
    tile : Workgroup
    taps : int
        Of all blocks of filters.
    """
    down, across = tile.tiles(layer)
    batch = layer.input[0] if layer.op == "conv2d" else 1
    tiles, (threads, _) = batch * down * across, tile.threads
    tap = tile.filters * tile.lanes + tile.filters + tile.lanes + _INDEX
    rows = -(-layer.filters // (tile.filters * tile.blocks))  # of workgroups
    staged = rows * tile.chunks(layer) * tile.space(layer) * _STAGE
    return _SLOT * tiles * (taps * threads * tap + staged)
