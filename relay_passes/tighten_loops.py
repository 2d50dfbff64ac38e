"""Loops whose body is guarded by their own bound run only that far.

Row blocks have unequal numbers of taps. Algorithms say so with a constant extent and a guard, so
that every schedule primitive and every tuner can work on them; after scheduling, the guard becomes
the loop's extent::

    for k in range(96):                        for k in range(ptr[b + 1] - ptr[b]):
        for i in T.unroll(8):                      for i in T.unroll(8):
            if k < ptr[b + 1] - ptr[b]:    →           A[i] += W[ptr[b] + k, i] * ...
                A[i] += W[ptr[b] + k, i] * ...
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import s_tir, tirx

from tvm_sparse import compat


@tirx.transform.prim_func_pass(opt_level=0, name="TightenLoops")
class TightenLoops:
    """Turn the guards of ``product`` blocks into loop extents."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        extents = _extents(func.body)
        if not extents:
            return func
        guarded = set(extents)

        def loop(node: tirx.For) -> tirx.For:
            extent = extents.get(node.loop_var)
            return node if extent is None else compat.with_loop(node, extent=extent)

        def realize(node: s_tir.SBlockRealize) -> s_tir.SBlockRealize:
            if not _guard(node, guarded):
                return node
            block = compat.with_block(node, body=node.block.body.then_case)
            return s_tir.SBlockRealize(node.iter_values, node.predicate, block)

        body = compat.rewrite(func.body, s_tir.SBlockRealize, realize)
        return func.with_body(compat.rewrite(body, tirx.For, loop))


def _guard(realize: s_tir.SBlockRealize, loops: set[Any] | None = None) -> Any:
    """Return (loop variable, bound) of a block whose body is one guarded statement, or None."""
    body = realize.block.body
    if not isinstance(body, tirx.IfThenElse) or body.else_case is not None:
        return None
    if not isinstance(body.condition, tirx.LT):
        return None
    values = dict(zip((iv.var for iv in realize.block.iter_vars), realize.iter_values, strict=True))
    variable = compat.substitute(body.condition.a, values)
    if not isinstance(variable, tirx.Var) or (loops is not None and variable not in loops):
        return None
    return variable, compat.substitute(body.condition.b, values)


def _extents(body: Any) -> dict[Any, Any]:
    """Return the tightened extent of every loop whose whole body stands under its guard."""
    analyzer = compat.analyzer()
    extents: dict[Any, Any] = {}

    def visit(node: Any, enclosing: list[tirx.For]) -> None:
        if isinstance(node, tirx.For):
            analyzer.bind(node.loop_var, tvm.ir.Range.from_min_extent(node.min, node.extent))
            visit(node.body, [*enclosing, node])
        elif isinstance(node, tirx.SeqStmt):
            for statement in node.seq:
                visit(statement, enclosing)
        elif isinstance(node, s_tir.SBlockRealize):
            found = _guard(node)
            if found is None:
                visit(node.block.body, enclosing)
                return
            variable, bound = found
            bound = analyzer.simplify(bound)
            names = [loop.loop_var for loop in enclosing]
            if variable in names and _only_child(enclosing[names.index(variable)]):
                inner = set(names[names.index(variable) :])
                if not compat.uses(bound, inner):
                    extents[variable] = bound

    visit(body, [])
    return extents


def _only_child(loop: tirx.For) -> bool:
    """Whether a loop leads to a single block."""
    body = loop.body
    while isinstance(body, tirx.For):
        body = body.body
    return isinstance(body, s_tir.SBlockRealize)
