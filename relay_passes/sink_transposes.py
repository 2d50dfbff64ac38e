"""Keep activations in the layout of the kernels: move transposes down and cancel them.

A linear layer that keeps its rows in vector lanes works on transposed matrices. Between two such
layers, only the transposes at the two ends are needed.

Before::

    t = R.permute_dims(y)                    # (features, rows) → (rows, features)
    b = R.add(t, bias)
    g = R.nn.gelu(b)
    x = R.permute_dims(g)                    # what the next kernel reads

After::

    b = R.add(y, bias as a column)
    g = R.nn.gelu(b)                         # read by the next kernel as it is

Reshapes that only split or join the rows move and cancel in the same way.
"""

from __future__ import annotations

import tvm
from tvm import relax
from tvm.relax import PyExprMutator, expr_functor

from tvm_sparse.relay_passes import expr
from tvm_sparse.relay_passes.elementwise import ELEMENTWISE, is_number

_PERMUTE, _RESHAPE = "relax.permute_dims", "relax.reshape"


@tvm.transform.module_pass(opt_level=0, name="SinkTransposes")
class SinkTransposes:
    """Move transposes of matrices, and reshapes of rows, below element-wise operators."""

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function, and drop what became dead."""
        mod = expr.rewrite_functions(mod, lambda mod, func: _Sinker(mod, expr.Uses(func)))
        return relax.transform.DeadCodeElimination()(mod)


@expr_functor.mutator
class _Sinker(PyExprMutator):
    def __init__(self, mod: tvm.IRModule, uses: expr.Uses) -> None:
        super().__init__(mod)
        self.uses = uses
        self.moved: set[relax.Var] = set()

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        once = [self.uses.read_once(arg) for arg in call.args]
        call = self.visit_expr_post_order(call)
        name = expr.op_name(call)
        if name == _PERMUTE and _is_transpose(call):
            return self._without_twin(call, _PERMUTE)
        if name == _RESHAPE:
            return self._without_twin(call, _RESHAPE)
        if name in ELEMENTWISE:
            return self._sink(call, once)
        return call

    def _without_twin(self, call: relax.Call, name: str) -> relax.Expr:
        """Return what stands above two layout changes that undo each other."""
        above = expr.definition(self.builder_, call.args[0])
        if expr.op_name(above) != name:
            return call
        if name == _PERMUTE:
            return above.args[0] if _is_transpose(above) else call
        if expr.shape(above.args[0]) == expr.shape(call):
            return above.args[0]
        return relax.op.reshape(above.args[0], call.args[1])

    def _sink(self, call: relax.Call, once: list[bool]) -> relax.Expr:
        """Apply an element-wise operator before a layout change instead of after it."""
        tensors = [i for i, arg in enumerate(call.args) if not is_number(self.builder_, arg)]
        main = [i for i in tensors if expr.constant(self.builder_, call.args[i]) is None]
        if len(main) != 1 or not once[main[0]]:
            return call
        change = expr.definition(self.builder_, call.args[main[0]])
        name = expr.op_name(change)
        if name == _RESHAPE and not _keeps_features(change):
            return call
        if name not in (_PERMUTE, _RESHAPE) or (name == _PERMUTE and not _is_transpose(change)):
            return call
        args = list(call.args)
        args[main[0]] = change.args[0]
        for i in tensors:
            if i != main[0]:
                value = expr.constant(self.builder_, args[i])
                if value is None or value.size != value.shape[-1]:
                    return call
                args[i] = expr.const(
                    value.reshape(-1, 1) if name == _PERMUTE else value.reshape(-1)
                )
        first = relax.Call(call.op, args, call.attrs, call.ty_args)
        above = [self.uses.read_once(arg) or arg in self.moved for arg in args]
        below = self.builder_.emit(self._sink(first, above))
        self.moved.add(below)
        return relax.Call(change.op, [below, *change.args[1:]], change.attrs, change.ty_args)


def _is_transpose(call: relax.Call) -> bool:
    """Whether a permute_dims transposes a matrix."""
    axes = call.attrs.axes
    return len(expr.shape(call) or ()) == 2 and (axes is None or [int(a) for a in axes] == [1, 0])


def _keeps_features(call: relax.Call) -> bool:
    """Whether a reshape leaves the last size as it is."""
    before, after = expr.shape(call.args[0]), expr.shape(call)
    return bool(before and after and before[-1] == after[-1])
