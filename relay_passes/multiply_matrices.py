"""Two taps are multiplied at a time, where a CPU multiplies matrices of bytes.

ARM's ``usmmla`` (i8mm) takes 2 × 8 input bytes and 8 × 2 weight bytes: twice the products of
``usdot`` in the same time. Two words of channels at two positions are such a matrix, and two words
of weights of two filters are the other. Sums of two filters at four positions are put in the order
of its results before the loop over taps, and back into their own after it::

    A[0], A[1] = zip(A[0], A[1])                          sums of two filters at two positions each
    for k in range(n // 2):
        X[0], X[1] = zip(X of tap 2k, X of tap 2k + 1)    eight channels at two positions each
        w = zip(W of tap 2k, W of tap 2k + 1)             eight channels of two filters
        A[0], A[1] = usmmla(A[0], X[0], w), usmmla(A[1], X[1], w)
    A[0], A[1] = unzip(A[0], A[1])
    for k in range(n // 2 * 2, n): A[0] = dot4(A[0], X, W[0]); A[1] = dot4(A[1], X, W[1])

The two taps may be any: each reads its own word. `tvm_sparse.integer_kernel` says where this pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tvm
from tvm import ir, tirx

from tvm_sparse import compat
from tvm_sparse.octets import PAIRED
from tvm_sparse.relay_passes.hoist_loads import apart, inlined, int_of
from tvm_sparse.relay_passes.multiply_bytes import octets

_LANES = 4
_ZIP = ((0, 4, 1, 5), (2, 6, 3, 7))
_UNZIP = ((0, 2, 4, 6), (1, 3, 5, 7))
_MULTIPLY = "llvm.aarch64.neon.usmmla.v4i32.v16i8"


@tirx.transform.prim_func_pass(opt_level=0, name="MultiplyMatrices")
class MultiplyMatrices:
    """Rewrite the loops over taps that are marked so, after loops have been vectorized."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        return func.with_body(compat.rewrite(func.body, tirx.For, _loop))


def _loop(loop: tirx.For) -> Any:
    """Return a loop over taps as one over two at a time, and one over what is left."""
    body = inlined(loop.body)
    products = [node for node in body if _is_product(node)]
    if not products or int_of(loop.min) != 0:
        return loop
    if any(not _is_product(node) and not isinstance(node, tirx.Evaluate) for node in body):
        return loop
    pairs = _pairs(products)
    if pairs is None:
        return loop
    kind = loop.loop_var.ty.dtype
    one, k = tirx.IntImm(kind, 1), tirx.Var(loop.loop_var.name, loop.loop_var.ty)
    half = tirx.shift_right(loop.extent, one)
    first, last = 2 * k, 2 * k + one
    at = [{loop.loop_var: tap} for tap in (first, last)]
    asked = [compat.substitute(node, at[0]) for node in body if not _is_product(node)]
    multiplied = [node for pair in pairs for node in _multiplied(pair, at)]
    two = compat.with_loop(loop, loop_var=k, extent=half, body=_sequence([*asked, *multiplied]))
    rest = compat.with_loop(
        loop,
        loop_var=(left := tirx.Var(loop.loop_var.name, loop.loop_var.ty)),
        extent=loop.extent - 2 * half,
        body=_sequence(
            [compat.substitute(node, {loop.loop_var: 2 * half + left}) for node in body]
        ),
    )
    before = [node for pair in pairs for node in _shuffled(pair, _ZIP)]
    after = [node for pair in pairs for node in _shuffled(pair, _UNZIP)]
    return tirx.SeqStmt([*before, two, *after, rest])


def _sequence(nodes: Sequence[Any]) -> Any:
    return nodes[0] if len(nodes) == 1 else tirx.SeqStmt(nodes)


def _is_product(node: Any) -> bool:
    """Whether a statement adds the products of a vector of words to sums in registers."""
    if not isinstance(node, tirx.BufferStore) or not isinstance(node.value, ir.Call):
        return False
    call = node.value
    if not isinstance(call.op, ir.Op) or str(call.op.name) != PAIRED:
        return False
    weights = call.args[2]
    return (
        tvm.DataType(str(call.ty.dtype)).lanes == _LANES
        and isinstance(weights, tirx.Broadcast)
        and isinstance(weights.value, ir.TensorLoad)
    )


def _pairs(products: Sequence[Any]) -> list[tuple[Any, Any]] | None:
    """Return the products of two filters with the same inputs; None if one has no partner."""
    known = {(str(node.value.args[1]), _place(node)): node for node in products}
    found = []
    for (inputs, place), node in known.items():
        if (inputs, place ^ 1) not in known:
            return None
        if place % 2 == 0:
            found.append((node, known[inputs, place + 1]))
    return found


def _place(product: Any) -> int:
    """Return which of the neighbouring words of weights a product takes."""
    return apart(product.value.args[2].value.indices[0])[1]


def _multiplied(pair: tuple[Any, Any], taps: Sequence[dict[Any, Any]]) -> list[Any]:
    """Return the products of two filters with two taps."""
    inputs, weights = [], []
    for tap in taps:
        call = compat.substitute(pair[0], tap).value
        inputs.append(call.args[1])
        weights.append(_neighbours(call.args[2].value))
    matrix = _both(weights[0], weights[1], _ZIP[_place(pair[0]) % _LANES // 2])
    return [
        _stored(node, _product(_sums(node), _both(inputs[0], inputs[1], places), matrix))
        for node, places in zip(pair, _ZIP, strict=True)
    ]


def _neighbours(load: Any) -> Any:
    """Return the four words of weights that one of them stands among."""
    base, place = apart(load.indices[0])
    first = base + place // _LANES * _LANES
    ramp = tirx.Ramp(first, tirx.IntImm(load.indices[0].ty.dtype, 1), _LANES)
    return tirx.BufferLoad(load.source, [ramp])


def _product(sums: Any, inputs: Any, weights: Any) -> Any:
    kind = sums.ty.dtype
    return tirx.call_llvm_pure_intrin(kind, _MULTIPLY, sums, octets(inputs), octets(weights))


def _shuffled(pair: tuple[Any, Any], places: Sequence[Sequence[int]]) -> list[Any]:
    """Return statements that bring the sums of two filters into another order."""
    one, other = (_sums(node) for node in pair)
    before = tirx.Var("sums", one.ty)
    stored = [_stored(pair[i], _both(before, other, places[i])) for i in (0, 1)]
    return [tirx.Bind(before, one), *stored]


def _both(a: Any, b: Any, places: Sequence[int]) -> Any:
    """Return lanes of two vectors."""
    return tirx.Shuffle([a, b], list(places))


def _sums(product: Any) -> Any:
    return tirx.BufferLoad(product.buffer, product.indices)


def _stored(product: Any, value: Any) -> Any:
    return tirx.BufferStore(product.buffer, value, product.indices)
