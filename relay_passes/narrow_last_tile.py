"""The last register tile along the positions is as narrow as the vectors that are left for it.

Thirteen vectors by five would otherwise cost fifteen::

    for p in range(3):                             for p in range(2):
        for k in range(96):                            for k in range(96):
            for v in T.unroll(5):                          for v in T.unroll(5):
                A[p * 80 + v * 16, ...] += ...     →               A[p * 80 + v * 16, ...] += ...
                                                   for k in range(96):
                                                       for v in T.unroll(3):
                                                           A[160 + v * 16, ...] += ...

Schedules mark the loop over register tiles with the vectors of the last one, and the loops over
vectors. Nothing reads the lanes that are no longer computed. The last tile's sums are a buffer of
their own, see `tvm_sparse.relay_passes.own_registers`. Where the last vector holds very few
lanes, the mark says how many, and filters stand in lanes for them, see
`tvm_sparse.relay_passes.turn_tail`.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import tirx

from tvm_sparse import compat
from tvm_sparse.relay_passes import turn_tail
from tvm_sparse.relay_passes.own_registers import Registers
from tvm_sparse.schedules.loops import LAST, TAIL, VECTORS


@tirx.transform.prim_func_pass(opt_level=0, name="NarrowLastTile")
class NarrowLastTile:
    """Peel the last iteration off marked loops, with fewer vectors."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        last, turned = Registers("last"), Registers("turned", turned=True)
        body = compat.rewrite(func.body, tirx.For, lambda loop: _peel(loop, last, turned))
        return func.with_body(last.allocate(turned.allocate(body)))


def _peel(loop: tirx.For, registers: Registers, turned: Registers) -> Any:
    if LAST not in loop.annotations:
        return loop
    last_vectors, tail = int(loop.annotations[LAST]), int(loop.annotations.get(TAIL, 0))
    whole = last_vectors - bool(tail)
    number = int(loop.extent) - 1
    copy = compat.copied(loop)
    last = copy.body
    if tail:
        last = compat.rewrite(last, tirx.For, lambda rows: _turned(rows, whole, tail, turned))
    last = compat.rewrite(last, tirx.For, lambda inner: _narrowed(inner, whole))
    at = tirx.IntImm(copy.loop_var.ty.dtype, number)
    last = compat.substitute(last, {copy.loop_var: at})
    if number == 0:
        return last
    extent = tirx.IntImm(loop.extent.ty.dtype, number)
    others = compat.with_loop(loop, extent=extent, annotations={})
    return tirx.SeqStmt([others, registers.use(last)])


def _turned(rows: tirx.For, whole: int, tail: int, registers: Registers) -> Any:
    inner = rows.body
    if not isinstance(inner, tirx.For) or VECTORS not in inner.annotations:
        return rows
    return turn_tail.turn(rows, whole, tail, registers)


def _narrowed(loop: tirx.For, vectors: int) -> tirx.For:
    if VECTORS not in loop.annotations:
        return loop
    extent = tirx.IntImm(loop.extent.ty.dtype, vectors)
    return compat.with_loop(loop, extent=extent, annotations={})
