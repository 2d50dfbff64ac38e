"""What every Relax pass asks of an expression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import ir, relax
from tvm.relax import PyExprMutator, expr_functor

Change = Callable[[Any, relax.BlockBuilder], Any]


def op_name(expr: Any) -> str:
    """Return the name of the operator that an expression calls, or an empty string."""
    if isinstance(expr, relax.Call) and isinstance(expr.op, ir.Op):
        return str(expr.op.name)
    return ""


def definition(builder: relax.BlockBuilder, expr: Any) -> Any:
    """Return what a variable is bound to in the rewritten function; anything else as it is."""
    while isinstance(expr, relax.Var):
        bound = builder.lookup_binding(expr)
        if bound is None:
            break
        expr = bound
    return expr


def constant(builder: relax.BlockBuilder, expr: Any) -> npt.NDArray[Any] | None:
    """Return the value of a constant (or of a variable bound to one), or None."""
    found = definition(builder, expr)
    return found.value.numpy() if isinstance(found, ir.GenericConst) else None


def shape(expr: Any) -> tuple[int, ...] | None:
    """Return the static shape of a tensor expression, or None."""
    kind = expr.ty
    if not isinstance(kind, relax.TensorType) or not isinstance(kind.shape, relax.ShapeExpr):
        return None
    if not all(isinstance(size, tvm.tirx.IntImm) for size in kind.shape.values):
        return None
    return tuple(int(size) for size in kind.shape.values)


def is_float32(expr: Any) -> bool:
    """Whether an expression is a float32 tensor of static shape."""
    return shape(expr) is not None and str(expr.ty.dtype) == "float32"


def const(value: npt.NDArray[Any]) -> relax.Expr:
    """Return an array as a Relax constant."""
    return relax.const(np.asarray(value, order="C"), str(value.dtype))


class Uses:
    """The bindings of a function, and how often each variable is read.

    Parameters
    ----------
    func : relax.Function
    """

    def __init__(self, func: relax.Function) -> None:
        self.values: dict[relax.Var, Any] = {}
        self._reads: Counter[relax.Var] = Counter()
        for block in func.body.blocks:
            for binding in block.bindings:
                self.values[binding.var] = binding.value
                self._reads.update(_reads(binding.value))
        self._reads.update(_reads(func.body.body))

    def value(self, expr: Any) -> Any:
        """Return what a variable is bound to; anything else as it is."""
        while isinstance(expr, relax.Var) and expr in self.values:
            expr = self.values[expr]
        return expr

    def constant(self, expr: Any) -> npt.NDArray[Any] | None:
        """Return the value of a constant, or of a variable bound to one, or None."""
        found = self.value(expr)
        return found.value.numpy() if isinstance(found, ir.GenericConst) else None

    def read_once(self, expr: Any) -> bool:
        """Whether an expression is a variable that is read at a single place."""
        return isinstance(expr, relax.Var) and self._reads[expr] == 1


def _reads(node: Any) -> list[relax.Var]:
    """Return the variables that a binding's value reads, each as often as it stands there."""
    if isinstance(node, relax.Var):
        return [node]
    if isinstance(node, relax.Call):
        return [var for arg in node.args for var in _reads(arg)]
    if isinstance(node, relax.Tuple):
        return [var for field in node.fields for var in _reads(field)]
    if isinstance(node, relax.TupleGetItem):
        return _reads(node.tuple_value)
    return list(relax.analysis.free_vars(node)) * 2  # branches: assume more than one reader


@expr_functor.mutator
class Rebind(PyExprMutator):
    """Replaces the values of some variables; the variables keep their names.

    Parameters
    ----------
    mod : IRModule
    changes : dict of variable to callable
        Each callable gets the rewritten value, a call or a tuple item, and the mutator's builder,
        and returns the new value.
    """

    def __init__(self, mod: tvm.IRModule, changes: dict[relax.Var, Change]) -> None:
        super().__init__(mod)
        self.changes = changes
        self.current: relax.Var | None = None

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        """Remember which variable is being bound."""
        self.current = binding.var
        super().visit_var_binding_(binding)

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """Change a call. Only its result is typed: a change may mend what its operands became."""
        change = self.changes.pop(self.current, None)
        if change is None:
            return self.visit_expr_post_order(call)
        args = [self.visit_expr(arg) for arg in call.args]
        visited = relax.Call(call.op, args, call.attrs, call.ty_args, ret_ty=call.ty)
        return change(visited, self.builder_)

    def visit_tuple_getitem_(self, item: relax.TupleGetItem) -> relax.Expr:
        """Change a tuple item."""
        change = self.changes.pop(self.current, None)
        visited = self.visit_expr_post_order(item)
        return visited if change is None else change(visited, self.builder_)


def rewrite_functions(
    mod: tvm.IRModule, make: Callable[[tvm.IRModule, relax.Function], PyExprMutator]
) -> tvm.IRModule:
    """Apply a mutator to every Relax function of a module; its attributes are kept.

    Parameters
    ----------
    mod : IRModule
    make : callable
        Returns the mutator of one function, given the module and the function.
    """
    for var, func in mod.functions_items():
        if isinstance(func, relax.Function) and not func.attrs.get("Primitive", 0):
            mutator = make(mod, func)
            mutator.builder_.update_func(var, mutator.visit_expr(func))
            new = mutator.builder_.get()
            mod = new.with_attrs(dict(mod.attrs)) if mod.attrs else new
    return mod


def rebind(mod: tvm.IRModule, find: Callable[[Uses], dict[relax.Var, Change]]) -> tvm.IRModule:
    """Replace calls in every Relax function of a module.

    Parameters
    ----------
    mod : IRModule
    find : callable
        Returns what to change in one function, by the variables that the calls are bound to.
    """
    return rewrite_functions(mod, lambda mod, func: Rebind(mod, find(Uses(func))))
