"""Vector loops over a ragged end become full vectors and one shorter vector.

Splitting 196 positions into vectors of 16 leaves a guard inside the vector loop, which would be
executed lane by lane. Whether a vector is whole depends on nothing inside it::

    for i in range(13):                        for i in range(13):
        for v in T.vectorized(16):                 if i * 16 + 16 <= 196:
            if i * 16 + v < 196:         →             for v in T.vectorized(16):
                Y[i * 16 + v] = ...                        Y[i * 16 + v] = ...
                                                   else:
                                                       for v in T.vectorized(4):
                                                           Y[i * 16 + v] = ...
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import s_tir, sym, tirx

from tvm_sparse import compat


@tirx.transform.prim_func_pass(opt_level=0, name="PeelTails")
class PeelTails:
    """Move guards out of vectorized loops."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        analyzer = compat.analyzer()

        def bind(loop: tirx.For) -> None:
            analyzer.bind(loop.loop_var, tvm.ir.Range.from_min_extent(loop.min, loop.extent))

        def peel(loop: tirx.For) -> Any:
            return _peel(loop, analyzer)

        compat.visit(func.body, tirx.For, bind)
        return func.with_body(compat.rewrite(func.body, tirx.For, peel))


def _peel(loop: tirx.For, analyzer: Any) -> Any:
    realize = loop.body
    if loop.kind != tirx.ForKind.VECTORIZED or not isinstance(realize, s_tir.SBlockRealize):
        return loop
    terms = [t for t in compat.conjuncts(realize.predicate) if not analyzer.can_prove(t)]
    ragged = [term for term in terms if compat.uses(term, {loop.loop_var})]
    if not ragged:
        guard = compat.conjunction(terms)
        always = s_tir.SBlockRealize(realize.iter_values, guard, realize.block)
        return compat.with_loop(loop, body=always)
    rest = compat.conjunction([term for term in terms if term not in ragged])
    start = _start(ragged[0], loop.loop_var, analyzer) if len(ragged) == 1 else None
    if start is None:
        return compat.with_loop(loop, kind=tirx.ForKind.SERIAL)
    base, bound, width = start[0], ragged[0].b, loop.extent
    inside = s_tir.SBlockRealize(realize.iter_values, rest, realize.block)
    whole = compat.with_loop(loop, body=inside)
    tail = _tail(compat.copied(compat.with_loop(loop, body=inside)), base, bound, analyzer)
    return tirx.IfThenElse(analyzer.simplify(base + width <= bound), whole, tail)


def _start(term: Any, lane: tirx.Var, analyzer: Any) -> tuple[Any] | None:
    """Return the base of a guard ``base + lane < bound``, or None if it is none."""
    if not isinstance(term, tirx.LT) or compat.uses(term.b, {lane}):
        return None
    linear = sym.detect_linear_equation(analyzer.simplify(term.a), [lane])
    if len(linear) != 2 or not isinstance(linear[0], tirx.IntImm) or linear[0].value != 1:
        return None
    return (linear[1],)


def _tail(loop: tirx.For, base: Any, bound: Any, analyzer: Any) -> Any:
    """Return the vector that crosses the bound: of known width when vectors are aligned to it."""
    width = int(loop.extent)
    aligned = analyzer.modular_set(base)
    if isinstance(bound, tirx.IntImm) and aligned.coeff % width == 0 and aligned.base % width == 0:
        rest = int(bound) % width
        if rest == 0:
            return None
        shorter = compat.with_loop(loop, extent=tirx.IntImm(loop.extent.ty.dtype, rest))
        return tirx.IfThenElse(analyzer.simplify(base < bound), shorter, None)
    return compat.with_loop(loop, kind=tirx.ForKind.SERIAL, extent=tirx.max(bound - base, 0))
