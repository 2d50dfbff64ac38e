"""Products of pairs of bfloat16 become the CPU's dot product, or shifts and multiply-adds.

Before, for 16 lanes::

    A[…] = tvm_sparse.dot2(A[…], T.Broadcast(X[…], 16), W[…])

After, on a CPU with AVX512-BF16::

    A[…] = tvm_sparse_dot2_16(A[…], T.Broadcast(X[…], 16), W[…])

a function in LLVM's own language that comes with the kernel and is inlined: TVM takes bfloat16 for
floats when it generates code. Elsewhere both numbers of a word are widened to floats, multiplied
and added.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import ir, tirx
from tvm.target.codegen import llvm_get_cpu_features

from tvm_sparse import compat
from tvm_sparse.dot2 import DOT2

FEATURE = "avx512bf16"
_LANES = (4, 8, 16)
_IMPORT = "pragma_import_llvm"
_DOT = """
declare <{n} x float> @llvm.x86.avx512bf16.dpbf16ps.{bits}(<{n} x float>, <{m} x bfloat>, <{m} x bfloat>)
define linkonce_odr <{n} x float> @tvm_sparse_dot2_{n}(<{n} x float> %a, <{n} x i32> %b, <{n} x i32> %c) alwaysinline {{
  %x = bitcast <{n} x i32> %b to <{m} x bfloat>
  %y = bitcast <{n} x i32> %c to <{m} x bfloat>
  %r = call <{n} x float> @llvm.x86.avx512bf16.dpbf16ps.{bits}(<{n} x float> %a, <{m} x bfloat> %x, <{m} x bfloat> %y)
  ret <{n} x float> %r
}}
"""  # noqa: E501


@tirx.transform.prim_func_pass(opt_level=0, name="LowerPairs")
class LowerPairs:
    """Replace products of pairs, after loops have been vectorized."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        found: list[Any] = []
        compat.visit(func.body, ir.Call, lambda call: found.append(call) if _is(call) else None)
        if not found:
            return func
        lanes = {_lanes(call) for call in found if has_pairs(func.attrs["target"])} & {*_LANES}
        body = compat.rewrite(func.body, ir.Call, lambda call: _lower(call, lanes))
        for n in sorted(lanes):
            text = ir.StringImm(_DOT.format(n=n, m=2 * n, bits=32 * n))
            body = tirx.AttrStmt(tirx.const(0, "int32"), _IMPORT, text, body)
        return func.with_body(body)


def has_pairs(target: Any) -> bool:
    """Whether a target of TVM's multiplies pairs of bfloat16."""
    return target.kind.name == "llvm" and FEATURE in set(llvm_get_cpu_features(target))


def _is(call: Any) -> bool:
    return isinstance(call.op, ir.Op) and str(call.op.name) == DOT2


def _lanes(call: Any) -> int:
    return int(tvm.DataType(str(call.ty.dtype)).lanes)


def _lower(call: Any, lanes: set[int]) -> Any:
    if not _is(call):
        return call
    total, inputs, weights = call.args
    kind = str(total.ty.dtype)
    if _lanes(call) not in lanes:
        return total + _products(inputs, weights, kind)
    name = f"tvm_sparse_dot2_{_lanes(call)}"
    return tirx.call_pure_extern(kind, name, total, inputs, weights)


def _products(inputs: Any, weights: Any, kind: str) -> Any:
    """Return the sum of the products of two numbers each."""
    words = str(inputs.ty.dtype)
    low = [tirx.shift_left(word, tirx.const(16, words)) for word in (inputs, weights)]
    high = [tirx.bitwise_and(word, tirx.const(-65536, words)) for word in (inputs, weights)]
    first, second = ([tirx.reinterpret(kind, word) for word in both] for both in (low, high))
    return first[0] * first[1] + second[0] * second[1]
