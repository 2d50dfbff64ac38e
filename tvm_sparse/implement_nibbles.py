"""Turn the choice for a layer of four-bit codes into a TIR function and the constants it reads."""

from __future__ import annotations

from tvm_sparse import nibble_rows
from tvm_sparse.algorithms import nibbles as algorithm
from tvm_sparse.implement import Implementation
from tvm_sparse.nibble_choice import NibbleChoice
from tvm_sparse.nibbles import TABLES
from tvm_sparse.tile import NibbleTile


def implement(choice: NibbleChoice) -> Implementation:
    """Return the implementation of a choice, named by what its codes stand for."""
    layer, stored, tile = choice.layer, choice.stored, choice.kernel.tile
    assert isinstance(tile, NibbleTile)
    table, zeros = TABLES[stored.code], stored.zero is not None
    if not choice.is_sparse:
        constants = (*nibble_rows.dense(stored, tile.filters), table)
        func = algorithm.dense(layer, tile, zeros)
        return Implementation(func=func, name=f"{stored.code}_linear", constants=constants)
    rows = nibble_rows.sparse(stored, tile.filters)
    func = algorithm.sparse(layer, tile, rows, zeros)
    lists = rows.channel, rows.group, rows.ptr
    name = f"sparse_{stored.code}_linear"
    return Implementation(func=func, name=name, constants=(rows.words, rows.scale, table, *lists))
