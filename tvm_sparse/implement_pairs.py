"""Turn the choice for a layer of bfloat16 pairs into a TIR function and its constants."""

from __future__ import annotations

import numpy as np

from tvm_sparse import shares
from tvm_sparse.algorithms import amx_pairs
from tvm_sparse.algorithms import pairs as algorithm
from tvm_sparse.amx import AmxPanelTile
from tvm_sparse.implement import Implementation
from tvm_sparse.pairs import PairChoice
from tvm_sparse.tile import PanelTile


def implement(choice: PairChoice) -> Implementation:
    """Return the implementation of a choice."""
    layer, tile, rows = choice.layer, choice.kernel.tile, choice.rows
    assert isinstance(tile, PanelTile)
    if isinstance(tile, AmxPanelTile):
        return _in_tiles(choice, tile)
    if rows is not None:
        func = algorithm.sparse(layer, shares.panels(tile, rows.lengths), rows)
        constants = rows.values, rows.taps, rows.ptr
        return Implementation(func=func, name="sparse_bfloat16_linear", constants=constants)
    fill = -len(choice.words) % tile.filters
    panels = np.pad(choice.words, ((0, fill), (0, 0))).reshape(-1, tile.filters, layer.channels)
    values = np.ascontiguousarray(panels.transpose(0, 2, 1))
    func = algorithm.dense(layer, tile)
    return Implementation(func=func, name="bfloat16_linear", constants=(values,))


def _in_tiles(choice: PairChoice, tile: AmxPanelTile) -> Implementation:
    """Return the implementation with tiles of AMX; words stand before filters in each."""
    rows = choice.rows
    assert rows is not None
    divided = shares.panels(tile, rows.lengths)
    assert isinstance(divided, AmxPanelTile)
    func = amx_pairs.product(choice.layer, divided, rows)
    values = np.ascontiguousarray(rows.values.transpose(0, 2, 1))
    constants = values, rows.taps, rows.ptr
    return Implementation(func=func, name="amx_bfloat16_linear", constants=constants)
