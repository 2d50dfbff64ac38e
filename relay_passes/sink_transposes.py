"""Keep activations in the layout of the kernels: move transposes down and cancel them.

A linear layer that keeps its rows in vector lanes works on transposed matrices. Between two such
layers, only the transposes at the two ends are needed.

Before::

    t = R.permute_dims(y)                    # (features, rows) → (rows, features)
    b = R.add(R.add(t, bias), x)             # x: (rows, features)
    n = R.nn.layer_norm(b, gamma, beta, axes=[-1])
    z = R.permute_dims(n)                    # what the next kernel reads

After::

    r = R.permute_dims(x)                    # cancels with another transpose above it, often
    b = R.add(R.add(y, bias as a column), r)
    n = R.nn.layer_norm(b, gamma, beta, axes=[0])   # read by the next kernel as it is

Reshapes that only split or join the rows move and cancel in the same way. A matrix is transposed,
or reshaped, once for all its readers. The least and the greatest element of all need neither.
"""

from __future__ import annotations

import math
from typing import Any

import tvm
from tvm import relax
from tvm.relax import PyExprMutator, expr_functor, op

from tvm_sparse.relay_passes import expr
from tvm_sparse.relay_passes.elementwise import ELEMENTWISE, is_number

_PERMUTE, _RESHAPE, _NORM = "relax.permute_dims", "relax.reshape", "relax.nn.layer_norm"
_EXTREMES, _QUANTIZE = ("relax.min", "relax.max"), "relax.quantize"
_Shape = tuple[int, ...]


@tvm.transform.module_pass(opt_level=0, name="SinkTransposes")
class SinkTransposes:
    """Move transposes of matrices, and reshapes of rows, below what treats all rows alike."""

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function, and drop what became dead."""
        mod = expr.rewrite_functions(mod, lambda mod, func: _Sinker(mod))
        return relax.transform.DeadCodeElimination()(mod)


@expr_functor.mutator
class _Sinker(PyExprMutator):
    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self.changed: dict[tuple[relax.Var, str, _Shape], relax.Var] = {}

    def visit_binding_block_(self, block: relax.BindingBlock) -> relax.BindingBlock:
        """Share no variables between blocks."""
        self.changed = {}
        return super().visit_binding_block_(block)

    def visit_dataflow_block_(self, block: relax.DataflowBlock) -> relax.DataflowBlock:
        """Share no variables between blocks."""
        self.changed = {}
        return super().visit_dataflow_block_(block)

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = self.visit_expr_post_order(call)
        name = expr.op_name(call)
        if _is_transpose(call) or name == _RESHAPE:
            return self._change(call.args[0], name, expr.shape(call) or ())
        if name in _EXTREMES and call.attrs.axis is None and not call.attrs.keepdims:
            return relax.Call(call.op, [self._unmoved(call.args[0])], call.attrs, call.ty_args)
        by_numbers = name == _QUANTIZE and all(map(self._is_number, call.args[1:3]))
        if name in ELEMENTWISE or by_numbers or _norms_features(call):
            return self._sink(call, (_RESHAPE, _PERMUTE))
        return call

    def _unmoved(self, x: relax.Expr) -> relax.Expr:
        """Return a tensor of the same elements, before changes of layout."""
        above = expr.definition(self.builder_, x)
        while expr.op_name(above) in (_PERMUTE, _RESHAPE):
            x = above.args[0]
            above = expr.definition(self.builder_, x)
        return x

    def _change(self, x: relax.Expr, name: str, shape: _Shape) -> relax.Expr:
        """Return a tensor, or a constant, transposed or reshaped; twins cancel."""
        value = expr.constant(self.builder_, x)
        if value is not None:
            return expr.const(value.T if name == _PERMUTE else value.reshape(shape))
        above = expr.definition(self.builder_, x)
        if name == _PERMUTE and _is_transpose(above):
            return above.args[0]
        if name == _RESHAPE and expr.op_name(above) == _RESHAPE:
            x = above.args[0]
        x = self._root(x)
        if name == _RESHAPE and expr.shape(x) == shape:
            return x
        key = (x, name, shape)
        if key not in self.changed:
            call = op.permute_dims(x) if name == _PERMUTE else op.reshape(x, shape)
            self.changed[key] = self.builder_.emit(call)
        return self.changed[key]

    def _root(self, x: relax.Expr) -> relax.Expr:
        """Return the variable that a variable is another name of."""
        while isinstance(bound := self.builder_.lookup_binding(x), relax.Var):
            x = bound
        return x

    def _sink(self, call: relax.Call, names: tuple[str, ...]) -> relax.Expr:
        """Apply an operator before layout changes, one of each kind, instead of after them."""
        if not names:
            return call
        name, rest = names[0], names[1:]
        data = call.args[:1] if expr.op_name(call) == _NORM else call.args
        tensors = [i for i, arg in enumerate(data) if not self._is_number(arg)]
        above = [expr.definition(self.builder_, call.args[i]) for i in tensors]
        found = [change for change in above if expr.op_name(change) == name and _moves(change)]
        if not found or not all(self._suits(call, call.args[i]) for i in tensors):
            return self._sink(call, rest)
        before, args = expr.shape(found[0].args[0]) or (), list(call.args)
        for i in tensors:
            if expr.shape(args[i]) == expr.shape(call):
                args[i] = self._change(args[i], name, before)
            else:
                args[i] = self._features(args[i], name == _PERMUTE)
        first = self.builder_.normalize(_applied(call, args, name == _PERMUTE))
        below = self.builder_.emit(self._sink(first, rest))
        return self._change(below, name, expr.shape(call) or ())

    def _suits(self, call: relax.Call, x: relax.Expr) -> bool:
        """Whether an operand has the result's shape, or a number a feature."""
        shape = expr.shape(x)
        return shape is not None and (shape == expr.shape(call) or math.prod(shape) == shape[-1])

    def _is_number(self, arg: relax.Expr) -> bool:
        """Whether an argument is a number, or a tensor of one element and no more axes than one."""
        return is_number(self.builder_, arg) or expr.shape(arg) in ((), (1,))

    def _features(self, x: relax.Expr, transposed: bool) -> relax.Expr:
        """Return a tensor with a number a feature as a row or, for transposed ones, a column."""
        value, number = expr.constant(self.builder_, x), math.prod(expr.shape(x) or ())
        shape = (number, 1) if transposed else (number,)
        if value is not None:
            return expr.const(value.reshape(shape))
        return x if expr.shape(x) == shape else self.builder_.emit(op.reshape(x, shape))


def _applied(call: relax.Call, args: list[relax.Expr], transposed: bool) -> relax.Call:
    """Return an operator on operands in another layout."""
    if expr.op_name(call) == _NORM:
        attrs = call.attrs
        features = 0 if transposed else -1
        return op.nn.layer_norm(
            *args,
            axes=[features],
            epsilon=attrs.epsilon,
            center=bool(attrs.center),
            scale=bool(attrs.scale),
        )
    return relax.Call(call.op, args, call.attrs, call.ty_args)


def _norms_features(call: relax.Call) -> bool:
    """Whether a call is a layer norm over the last axis."""
    if expr.op_name(call) != _NORM:
        return False
    rank = len(expr.shape(call) or ())
    return [int(axis) % rank for axis in call.attrs.axes] == [rank - 1] if rank else False


def _is_transpose(call: Any) -> bool:
    """Whether an expression transposes a matrix."""
    if expr.op_name(call) != _PERMUTE or len(expr.shape(call) or ()) != 2:
        return False
    axes = call.attrs.axes
    return axes is None or [int(axis) for axis in axes] == [1, 0]


def _moves(change: relax.Call) -> bool:
    """Whether a change of layout is the transpose of a matrix, or splits the rows of one."""
    if expr.op_name(change) == _PERMUTE:
        return _is_transpose(change)
    before, after = expr.shape(change.args[0]), expr.shape(change)
    return bool(before and after and len(before) == 2 and before[-1] == after[-1])
