"""Say where a chain of element-wise operators must end, before ``FuseOps`` makes it one function.

Two kinds of operators begin a function of their own. One whose result is larger than the kernel's
it would follow: an epilogue is computed where the kernel's outputs are stored, each once, and such
an operator reads an output several times. Before::

    y = R.call_tir(sparse_conv2d, ...)        # (1, 32, 1, 1)
    z = R.call_tir(multiply, (x, y), ...)     # (1, 32, 28, 28), op_pattern broadcast

After::

    z = R.call_tir(multiply, (x, y), ...)     # op_pattern injective: no epilogue

And one that would make an expression explode. A chain is computed as one expression, in which an
operand stands as often as it is read: fast_exp reads its operand 18 times, so that five smooth
activations in a row would be two million operands. Before::

    z = R.call_tir(fast_exp, (y,), ...)       # y: 400 operands; op_pattern element-wise

After::

    z = R.call_tir(fast_exp, (y,), ...)       # op_pattern opaque: y is stored first
"""

from __future__ import annotations

import math
from typing import Any

import tvm
from tvm import ir, relax, tirx

from tvm_sparse import compat
from tvm_sparse.relay_passes import expr

_ELEMENTWISE, _BROADCAST, _INJECTIVE, _KERNEL, _OPAQUE = 0, 1, 2, 4, 8  # TVM's OpPatternKind
_MOST = 1000  # operands of one expression


@tvm.transform.module_pass(opt_level=0, name="LimitFusion")
class LimitFusion:
    """Change the ``op_pattern`` of functions that must not follow others in one function."""

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Annotate TIR functions; nothing else changes."""
        patterns: dict[Any, int] = {}
        for _, func in mod.functions_items():
            if isinstance(func, relax.Function):
                calls = _calls(expr.Uses(func))
                patterns |= _growing(mod, calls) | _exploding(mod, calls)
        changed = mod.clone()
        for var, pattern in patterns.items():
            changed.update_func(var, mod[var].with_attr("op_pattern", pattern))
        return changed


def _calls(uses: expr.Uses) -> dict[relax.Var, tuple[Any, list[relax.Expr]]]:
    """Return (function, arguments) of every variable that is computed by TIR, in order."""
    return {
        var: (call.args[0], list(call.args[1].fields))
        for var, call in uses.values.items()
        if expr.op_name(call) == "relax.call_tir"
    }


def _pattern(mod: tvm.IRModule, function: Any) -> Any:
    return mod[function].attrs.get("op_pattern", None)


def _growing(
    mod: tvm.IRModule, calls: dict[relax.Var, tuple[Any, list[relax.Expr]]]
) -> dict[Any, int]:
    """Find the functions that enlarge what comes, element by element, from a kernel."""
    found: dict[Any, int] = {}
    computed: set[relax.Var] = set()  # by a kernel and its possible epilogue
    for var, (function, args) in calls.items():
        pattern = _pattern(mod, function)
        inputs = [arg for arg in args if arg in computed]
        if pattern == _KERNEL:
            computed.add(var)
        elif pattern in (_ELEMENTWISE, _BROADCAST) and inputs:
            if all(_size(arg) == _size(var) for arg in inputs):
                computed.add(var)
            else:
                found[function] = _INJECTIVE
    return found


def _size(value: relax.Expr) -> int | None:
    sizes = expr.shape(value)
    return None if sizes is None else math.prod(sizes)


def _exploding(
    mod: tvm.IRModule, calls: dict[relax.Var, tuple[Any, list[relax.Expr]]]
) -> dict[Any, int]:
    """Find the functions at which an expression of all that they follow becomes too long."""
    found: dict[Any, int] = {}
    operands: dict[relax.Var, int] = {}
    for var, (function, args) in calls.items():
        if _pattern(mod, function) in (_ELEMENTWISE, _BROADCAST, _INJECTIVE):
            alone = function in found
            given = [1 if alone else operands.get(arg, 1) for arg in args]
            operands[var] = _operands(mod[function], given)
            if operands[var] > _MOST and any(size > 1 for size in given):
                found[function] = _OPAQUE
                operands[var] = 1
    return found


def _operands(func: tirx.PrimFunc, given: list[int]) -> int:
    """Return how many operands a function's result reads, if its parameters read that many."""
    sizes: dict[Any, int] = dict(zip(func.params, given, strict=False))
    stores: list[tirx.BufferStore] = []
    compat.visit(func.body, tirx.BufferStore, stores.append)
    for store in stores:
        loads: list[Any] = []
        compat.visit(store.value, ir.TensorLoad, loads.append)
        sizes[store.buffer] = sum(sizes.get(load.source, 1) for load in loads) or 1
    return sizes.get(func.params[-1], 1)
