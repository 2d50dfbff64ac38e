"""Find attention, however it is spelled, and compute it in one kernel on transposed matrices.

Before, q, k and v being any views of matrices (rows, features)::

    s = R.matmul(q, k)                       # q: (heads, T, D), k: (heads, D, K)
    p = R.nn.softmax(R.multiply(s, scale))
    y = R.matmul(p, v)                       # v: (heads, K, D)
    z = R.reshape(R.permute_dims(y), ...)    # (T, heads · D)

After::

    y = R.call_tir(attention, (R.permute_dims(q), R.permute_dims(k), R.permute_dims(v)))
    z = R.permute_dims(y)

Linear layers that keep rows in vector lanes write and read transposed matrices anyway. What a view
selects is found by applying it to the numbers of a matrix's elements: splits, reshapes and
transposes need not be known one by one. A mask other than the guard that torch puts around softmax
is left alone, as is a sequence whose rows do not lie side by side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.relax import PyExprMutator, expr_functor, op

from tvm_sparse.algorithms.attention import Heads, attention, cut
from tvm_sparse.relay_passes import emit, expr, scope
from tvm_sparse.targets import Target

Index = npt.NDArray[np.int64]
_RESHAPES = {"relax.reshape", "relax.squeeze", "relax.expand_dims", "relax.flatten"}
_GUARDS = {"relax.logical_not", "relax.astype", "relax.max", "relax.equal"}


@tvm.transform.module_pass(opt_level=0, name="FuseAttention")
class FuseAttention(scope.ForTarget):
    """Replace softmax(q · k) · v.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.
    """

    def transform_module(self, mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every Relax function, and drop what became dead."""
        target = self.target
        mod = expr.rewrite_functions(
            mod, lambda mod, func: _Fuser(mod, _found(expr.Uses(func)), target)
        )
        return relax.transform.DeadCodeElimination()(mod)


@dataclass(frozen=True, kw_only=True)
class _View:
    """A tensor as a selection of another one's elements, each times a number."""

    source: relax.Expr
    index: Index
    scale: float


@dataclass(frozen=True, kw_only=True)
class _Attention:
    heads: Heads
    sources: tuple[relax.Expr, relax.Expr, relax.Expr]


def _found(uses: expr.Uses) -> dict[relax.Var, _Attention]:
    """Return the attentions of a function, by the variables that hold (batch, T, heads · D)."""
    inner = {var: match for var in uses.values if (match := _match(uses, var)) is not None}
    found: dict[relax.Var, _Attention] = {}
    for var in uses.values if inner else ():
        view = _view(uses, var)
        match = inner.get(view.source)
        if match is not None and match not in found.values() and _joins_heads(view, match.heads):
            found[var] = match
    return found


def _match(uses: expr.Uses, var: relax.Var) -> _Attention | None:
    product = uses.values[var]
    if expr.op_name(product) != "relax.matmul" or not expr.is_float32(product):
        return None
    weights = _whole(uses, product.args[0])
    softmax = None if weights is None else _softmax(uses, weights.source)
    if softmax is None or weights is None or weights.scale != 1.0:
        return None
    scores = _whole(uses, softmax.args[0])
    inner: Any = None if scores is None else uses.value(scores.source)
    if scores is None or expr.op_name(inner) != "relax.matmul":
        return None
    q, k, v = (_view(uses, x) for x in (*inner.args, product.args[1]))
    k = _View(source=k.source, index=k.index.swapaxes(-1, -2), scale=k.scale)
    if v.scale != 1.0 or q.index.shape[:-2] != k.index.shape[:-2]:
        return None
    return _placed(q, k, v, scores.scale * q.scale * k.scale)


def _softmax(uses: expr.Uses, weights: relax.Expr) -> Any:
    """Return the softmax over the last axis that weights are, or None."""
    call = uses.value(weights)
    if expr.op_name(call) == "relax.where":  # zeros for queries whose scores are all -inf
        scores = uses.value(call.args[2])
        guard = expr.op_name(scores) == "relax.nn.softmax" and _reads_only(
            uses, call.args[0], scores.args[0]
        )
        if not guard:
            return None
        call = scores
    if expr.op_name(call) != "relax.nn.softmax":
        return None
    return call if int(call.attrs.axis) in (-1, len(expr.shape(call) or ()) - 1) else None


def _reads_only(uses: expr.Uses, condition: relax.Expr, scores: relax.Expr) -> bool:
    """Whether a condition asks nothing but which scores are -inf."""
    if isinstance(condition, relax.Var) and condition.same_as(scores):
        return True
    call = uses.value(condition)
    value = uses.constant(condition)
    if value is not None:
        return bool(np.all(np.isneginf(value)))
    if expr.op_name(call) not in _GUARDS:
        return False
    return all(_reads_only(uses, arg, scores) for arg in call.args)


def _placed(q: _View, k: _View, v: _View, scale: float) -> _Attention | None:
    """Return where the heads lie in their matrices, if they lie side by side."""
    size, (queries, keys) = q.index.shape[-1], (x.index.shape[-2] for x in (q, k))
    if v.index.shape[-2:] != (keys, size) or k.index.shape[-1] != size:
        return None
    places = [_place(view) for view in (q, k, v)]
    known = [place for place in places if place is not None]
    if len(known) < 3 or len({(batch, heads) for batch, heads, _, _ in known}) > 1:
        return None
    batch, number, _, _ = known[0]
    heads = Heads(
        batch=batch,
        heads=number,
        queries=queries,
        keys=keys,
        size=size,
        scale=scale,
        features=(known[0][2], known[1][2], known[2][2]),
        first=(known[0][3], known[1][3], known[2][3]),
    )
    return _Attention(heads=heads, sources=(q.source, k.source, v.source))


def _place(view: _View) -> tuple[int, int, int, int] | None:
    """Return (batch, heads, features, first feature) of a view (…, tokens, D) of a matrix."""
    shape = expr.shape(view.source) or ()
    *_, tokens, size = view.index.shape
    index = view.index.reshape(-1, tokens, size)
    if len(shape) < 2 or not index.size:
        return None
    features, rows = shape[-1], math.prod(shape[:-1])
    row, first = divmod(int(index[0, 0, 0]), features)
    heads = int((index[:, 0, 0] // features == row).sum())
    batch = len(index) // heads
    at = np.arange(batch * tokens).reshape(batch, 1, tokens, 1) * features + first
    expected = at + np.arange(heads * size).reshape(1, heads, 1, size)
    good = batch * heads == len(index) and batch * tokens == rows
    same = good and np.array_equal(index, expected.reshape(index.shape))
    return (batch, heads, features, first) if same else None


def _joins_heads(view: _View, heads: Heads) -> bool:
    """Whether a view of (batch · heads, T, D) is (batch, T, heads · D)."""
    shape = heads.batch, heads.heads, heads.queries, heads.size
    expected = np.arange(math.prod(shape)).reshape(shape).swapaxes(1, 2)
    last = view.index.shape[-1] == heads.heads * heads.size
    return last and view.scale == 1.0 and np.array_equal(view.index.ravel(), expected.ravel())


def _whole(uses: expr.Uses, x: relax.Expr) -> _View | None:
    """Return a tensor as a reshaped, scaled one, or None if its elements change places."""
    view = _view(uses, x)
    return view if np.array_equal(view.index.ravel(), np.arange(view.index.size)) else None


def _view(uses: expr.Uses, x: relax.Expr) -> _View:
    """Follow what only moves or scales elements, up to the tensor that they come from."""
    call = uses.values.get(x) if isinstance(x, relax.Var) else None
    name = expr.op_name(call)
    shape = expr.shape(x)
    if isinstance(call, relax.Var):
        return _view(uses, call)
    if shape is not None and isinstance(call, relax.TupleGetItem):
        split = uses.value(call.tuple_value)
        if expr.op_name(split) == "relax.split":
            return _parted(uses, split, call.index, shape)
    if shape is None or not isinstance(call, relax.Call) or not call.args:
        return _all_of(x)
    if name in _RESHAPES or (name == "relax.broadcast_to" and expr.shape(call.args[0]) == shape):
        return _moved(uses, call, lambda index: index.reshape(shape))
    if name == "relax.permute_dims":
        axes = call.attrs.axes
        order = None if axes is None else [int(axis) for axis in axes]
        return _moved(uses, call, lambda index: index.transpose(order))
    if name == "relax.take" and call.attrs.axis is not None:
        number = uses.constant(call.args[1])
        if number is not None:
            axis = int(call.attrs.axis)
            return _moved(uses, call, lambda index: index.take(number, axis=axis).reshape(shape))
    if name in ("relax.multiply", "relax.divide"):
        return _scaled(uses, x, call)
    return _all_of(x)


def _all_of(x: relax.Expr) -> _View:
    shape = expr.shape(x) or ()
    return _View(source=x, index=np.arange(math.prod(shape)).reshape(shape), scale=1.0)


def _moved(uses: expr.Uses, call: relax.Call, move: Any) -> _View:
    view = _view(uses, call.args[0])
    return _View(source=view.source, index=move(view.index), scale=view.scale)


def _parted(uses: expr.Uses, split: relax.Call, part: int, shape: tuple[int, ...]) -> _View:
    axis, cuts = int(split.attrs.axis), split.attrs.indices_or_sections
    view = _view(uses, split.args[0])
    where = int(cuts) if isinstance(cuts, int) or hasattr(cuts, "value") else [int(c) for c in cuts]
    parts = np.split(view.index, where, axis=axis)
    return _View(source=view.source, index=parts[part].reshape(shape), scale=view.scale)


def _scaled(uses: expr.Uses, x: relax.Expr, call: relax.Call) -> _View:
    number = uses.constant(call.args[1])
    if number is None or number.size != 1 or number.ndim > len(expr.shape(call) or ()):
        return _all_of(x)
    view = _view(uses, call.args[0])
    factor = float(number.reshape(-1)[0])
    factor = factor if expr.op_name(call) == "relax.multiply" else 1.0 / factor
    return _View(source=view.source, index=view.index, scale=view.scale * factor)


@expr_functor.mutator
class _Fuser(PyExprMutator):
    def __init__(
        self, mod: tvm.IRModule, found: dict[relax.Var, _Attention], target: Target
    ) -> None:
        super().__init__(mod)
        self.found = found
        self.target = target
        self.current: relax.Var | None = None

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        """Remember which variable is being bound."""
        self.current = binding.var
        super().visit_var_binding_(binding)

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        match = self.found.get(self.current)
        if match is None:
            return self.visit_expr_post_order(call)
        heads, build = match.heads, self.builder_
        matrices = [build.emit(op.permute_dims(self._matrix(x))) for x in match.sources]
        func = attention(heads, cut(heads, self.target.lanes, self.target.registers))
        columns = heads.batch * heads.queries
        kind = relax.TensorType((heads.heads * heads.size, columns), "float32")
        y = build.emit(emit.kernel_call(build, func, "attention", matrices, kind))
        return op.reshape(build.emit(op.permute_dims(y)), expr.shape(call))

    def _matrix(self, x: relax.Expr) -> relax.Expr:
        x, shape = self.visit_expr(x), expr.shape(x) or ()
        if len(shape) == 2:
            return x
        return self.builder_.emit(op.reshape(x, (math.prod(shape[:-1]), shape[-1])))
