"""Express smooth activations by exponentials and error functions that vectorize.

LLVM calls libm once a lane for exp, tanh and erf; TVM's fast versions are polynomials, within
3e-7 of the true value. They exist for those three operators (and softmax) only, so the activations
built on them are spelled out first::

    R.sigmoid(x)        →   1 / (1 + exp(-x))
    R.nn.silu(x)        →   x / (1 + exp(-x))
    R.nn.gelu(x)        →   x * (0.5 + 0.5 * erf(x * sqrt(0.5)))
    R.nn.gelu_tanh(x)   →   x * (0.5 + 0.5 * tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tvm
from tvm import relax
from tvm.relax import op

from tvm_sparse.relay_passes import expr

Emit = Callable[[relax.Expr], relax.Var]


@tvm.transform.module_pass(opt_level=0, name="SpellActivations")
class SpellActivations:
    """Spell out smooth activations."""

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function."""
        return expr.rewrite_functions(mod, lambda mod, func: expr.Rebind(mod, _changes(func)))


@tvm.transform.module_pass(opt_level=0, name="ExpandActivations")
class ExpandActivations:
    """Spell out smooth activations, then use TVM's fast exp, tanh, erf and softmax."""

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function."""
        mod = tvm.transform.Sequential([SpellActivations()])(mod)
        fast = relax.transform.FastMathTransform()(mod)
        return fast.with_attrs(dict(mod.attrs)) if mod.attrs else fast


def _changes(func: relax.Function) -> dict[relax.Var, expr.Change]:
    changes: dict[relax.Var, expr.Change] = {}
    for var, call in expr.Uses(func).values.items():
        spelled = _SPELLED.get(expr.op_name(call))
        if spelled is not None and expr.is_float32(call):
            changes[var] = _change(spelled)
    return changes


def _change(spelled: Callable[[relax.Expr, Emit], relax.Expr]) -> expr.Change:
    return lambda call, builder: spelled(call.args[0], builder.emit)


def _number(value: float) -> relax.Expr:
    return relax.const(np.float32(value))


def _one_plus_exp(x: relax.Expr, emit: Emit) -> relax.Expr:
    return emit(op.add(emit(op.exp(emit(op.negative(x)))), _number(1)))


def _sigmoid(x: relax.Expr, emit: Emit) -> relax.Expr:
    return op.divide(_number(1), _one_plus_exp(x, emit))


def _silu(x: relax.Expr, emit: Emit) -> relax.Expr:
    return op.divide(x, _one_plus_exp(x, emit))


def _half_plus_half(y: relax.Expr, emit: Emit) -> relax.Expr:
    return emit(op.add(emit(op.multiply(y, _number(0.5))), _number(0.5)))


def _gelu(x: relax.Expr, emit: Emit) -> relax.Expr:
    y = emit(op.erf(emit(op.multiply(x, _number(math.sqrt(0.5))))))
    return op.multiply(x, _half_plus_half(y, emit))


def _gelu_tanh(x: relax.Expr, emit: Emit) -> relax.Expr:
    square = emit(op.multiply(x, x))
    inner = emit(op.add(emit(op.multiply(square, _number(0.044715))), _number(1)))
    scaled = emit(op.multiply(emit(op.multiply(x, inner)), _number(math.sqrt(2 / math.pi))))
    return op.multiply(x, _half_plus_half(emit(op.tanh(scaled)), emit))


_SPELLED: dict[str, Callable[[relax.Expr, Emit], relax.Expr]] = {
    "relax.sigmoid": _sigmoid,
    "relax.nn.silu": _silu,
    "relax.nn.gelu": _gelu,
    "relax.nn.gelu_tanh": _gelu_tanh,
}
