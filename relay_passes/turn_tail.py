"""Positions that are left over after the last whole vector: filters stand in lanes for them.

Forty-nine positions are three vectors of 16 and one position, which would cost a fourth vector for
every filter::

    for row in T.unroll(4):                      for row in T.unroll(4):
        for v in T.unroll(4):                        for v in T.unroll(3):
            for i in T.vectorized(16):                   for i in T.vectorized(16):
                A[row, v * 16 + i] += ...    →               A[row, v * 16 + i] += ...
                                                 for i in T.unroll(1):
                                                     for row in T.vectorized(4):
                                                         B[48 + i, row] += ...

B is a local buffer of its own, A turned about, so that filters are neighbours in a register.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx

from tvm_sparse import compat
from tvm_sparse.relay_passes.own_registers import Registers


def turn(rows: tirx.For, whole: int, tail: int, registers: Registers) -> Any:
    """Return the loops over rows, vectors and lanes, and those over the last lanes turned about.

    Parameters
    ----------
    rows : For
        Around a loop over vectors and one over lanes.
    whole : int
        Vectors of the tile that are whole; `narrow_last_tile` leaves the loop no others.
    tail : int
        Lanes after these.
    registers : Registers
        Of the lanes that are turned about.
    """
    part = registers.use(_last_lanes(compat.copied(rows), whole, tail))
    return tirx.SeqStmt([rows, part]) if whole else part


def _last_lanes(rows: tirx.For, vector: int, tail: int) -> tirx.For:
    """Return the loop over the lanes of one vector, with rows in lanes inside of it."""
    over, lanes = rows.body, rows.body.body
    at = tirx.IntImm(over.loop_var.ty.dtype, vector)
    body = compat.substitute(lanes.body, {over.loop_var: at})
    inner = compat.with_loop(rows, kind=tirx.ForKind.VECTORIZED, body=body, annotations={})
    extent = tirx.IntImm(lanes.extent.ty.dtype, tail)
    return compat.with_loop(lanes, kind=tirx.ForKind.UNROLLED, extent=extent, body=inner)
