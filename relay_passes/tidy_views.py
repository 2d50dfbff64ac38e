"""Spell what moves no element as a reshape, and keep weights of linear layers matrices.

Before::

    t = R.permute_dims(x, axes=[1, 0, 2])              # x: (1, 16, 64)
    s = R.squeeze(t, axis=[1])
    y = R.matmul(z, R.broadcast_to(w, (2, 64, 192)))   # w: (64, 192)

After::

    t = R.reshape(x, (16, 1, 64))
    s = R.reshape(t, (16, 64))
    y = R.matmul(z, w)

torch exports a batch of rows times one weight as a product of two batches, and attention with
transposes that only move axes of size one.
"""

from __future__ import annotations

import tvm
from tvm import relax
from tvm.relax import PyExprMutator, expr_functor, op

from tvm_sparse.relay_passes import expr

_RESHAPES = {"relax.squeeze", "relax.expand_dims", "relax.flatten"}


@tvm.transform.module_pass(opt_level=0, name="TidyViews")
class TidyViews:
    """Turn views into reshapes and broadcast weights into matrices."""

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function, and drop what became dead."""
        mod = expr.rewrite_functions(mod, lambda mod, func: _Tidier(mod))
        return relax.transform.DeadCodeElimination()(mod)


@expr_functor.mutator
class _Tidier(PyExprMutator):
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = self.visit_expr_post_order(call)
        name, shape = expr.op_name(call), expr.shape(call)
        if shape is None:
            return call
        if name in _RESHAPES or (name == "relax.permute_dims" and _moves_nothing(call)):
            return op.reshape(call.args[0], shape)
        if name == "relax.broadcast_to" and expr.shape(call.args[0]) == shape:
            return call.args[0]
        if name == "relax.matmul":
            return self._with_matrix(call)
        return call

    def _with_matrix(self, call: relax.Call) -> relax.Expr:
        """Return a product in which every row of a batch meets the same constant matrix."""
        wide = expr.definition(self.builder_, call.args[1])
        if expr.op_name(wide) != "relax.broadcast_to":
            return call
        value, rows = expr.constant(self.builder_, wide.args[0]), expr.shape(call.args[0])
        if value is None or rows is None or value.size != value.shape[-1] * value.shape[-2]:
            return call
        if len(rows) < len(expr.shape(wide) or ()) or rows[:-1] != (expr.shape(call) or ())[:-1]:
            return call
        weight = expr.const(value.reshape(value.shape[-2:]))
        return op.matmul(call.args[0], weight, out_dtype=call.attrs.out_dtype)


def _moves_nothing(call: relax.Call) -> bool:
    """Whether a permute_dims only moves axes of size one."""
    before, axes = expr.shape(call.args[0]) or (), call.attrs.axes
    order = [int(axis) for axis in axes] if axes is not None else [*range(len(before))][::-1]
    kept = [axis for axis in order if before[axis] != 1]
    return kept == sorted(kept)
