"""Products of words become the CPU's dot product of bytes, or shifts and multiplications.

Before, for 16 lanes::

    A[…] = tvm_sparse.dot4(A[…], X[…], T.Broadcast(W[…], 16))

After, on a CPU with AVX-512 VNNI::

    A[…] = vpdpbusd(A[…], T.reinterpret("int8x64", X[…]),
                    T.reinterpret("int8x64", T.Broadcast(W[…], 16)))

Elsewhere the four bytes of each are taken apart, multiplied and added up. Both are exact: the
instruction adds four products of 16 bits to a sum of 32, and saturates nothing.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import ir, tirx
from tvm.target.codegen import llvm_get_cpu_features

from tvm_sparse import compat
from tvm_sparse.octets import DOT4, MAX4
from tvm_sparse.words import BYTES

_VNNI = {lanes: f"llvm.x86.avx512.vpdpbusd.{32 * lanes}" for lanes in (4, 8, 16)}


@tirx.transform.prim_func_pass(opt_level=0, name="LowerWords")
class LowerWords:
    """Replace products of words, after loops have been vectorized."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        names: set[str] = set()
        compat.visit(func.body, ir.Call, lambda call: names.add(_name(call)))
        if not names & {DOT4, MAX4}:
            return func
        known = _intrinsics(func.attrs["target"])
        return func.with_body(compat.rewrite(func.body, ir.Call, lambda call: _lower(call, known)))


def _intrinsics(target: Any) -> dict[int, str]:
    """Return LLVM's names of the dot products that a target has, by lanes."""
    features = set(llvm_get_cpu_features(target)) if target.kind.name == "llvm" else set()
    if "avx512vnni" in features:
        return {n: name for n, name in _VNNI.items() if n == 16 or "avx512vl" in features}
    return {n: name for n, name in _VNNI.items() if n < 16} if "avxvnni" in features else {}


def _name(call: Any) -> str:
    return str(call.op.name) if isinstance(call.op, ir.Op) else ""


def _lower(call: Any, intrinsics: dict[int, str]) -> Any:
    if _name(call) == DOT4:
        return _dot(call.args, intrinsics)
    if _name(call) == MAX4:
        a, b = (_bytes("uint8", word) for word in call.args)
        return tirx.reinterpret(call.ty.dtype, tirx.max(a, b))
    return call


def _dot(operands: Any, intrinsics: dict[int, str]) -> Any:
    total, inputs, weights = operands
    name = intrinsics.get(tvm.DataType(str(total.ty.dtype)).lanes)
    if name is None:
        return total + _products(inputs, weights)
    bytes_ = [_bytes("int8", word) for word in (inputs, weights)]
    return tirx.call_llvm_pure_intrin(total.ty.dtype, name, total, *bytes_)


def _bytes(kind: str, words: Any) -> Any:
    """Return words as a vector of their bytes."""
    lanes = tvm.DataType(str(words.ty.dtype)).lanes
    return tirx.reinterpret(f"{kind}x{BYTES * lanes}", words)


def _products(inputs: Any, weights: Any) -> Any:
    """Return the sum of the products of four unsigned by four signed bytes."""
    kind = str(inputs.ty.dtype)

    def number(value: int) -> Any:
        return tirx.const(value, kind)

    def product(i: int) -> Any:
        unsigned = tirx.bitwise_and(tirx.shift_right(inputs, number(8 * i)), number(255))
        signed = tirx.shift_left(weights, number(8 * (BYTES - 1 - i)))
        return unsigned * tirx.shift_right(signed, number(8 * (BYTES - 1)))

    return product(0) + product(1) + product(2) + product(3)
