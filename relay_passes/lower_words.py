"""Products of words become the CPU's dot product of bytes, or shifts and multiplications.

Before, for 16 lanes::

    A[…] = tvm_sparse.dot4(A[…], X[…], T.Broadcast(W[…], 16))

After, on a CPU with AVX-512 VNNI::

    A[…] = vpdpbusd(A[…], T.reinterpret("int8x64", X[…]),
                    T.reinterpret("int8x64", T.Broadcast(W[…], 16)))

Other CPUs have other instructions (`tvm_sparse.relay_passes.multiply_bytes`), or bytes are taken
apart, multiplied and added up. All are exact.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import tvm
from tvm import ir, tirx
from tvm.target.codegen import llvm_get_cpu_features

from tvm_sparse import compat
from tvm_sparse.octets import DOTS, JOIN4, MAXIMA, MULTIPLY_ADD, ROUNDED, SATURATE4
from tvm_sparse.relay_passes.hoist_loads import fence
from tvm_sparse.relay_passes.multiply_bytes import instruction, joined, octets, saturated


@tirx.transform.prim_func_pass(opt_level=0, name="LowerWords")
class LowerWords:
    """Replace products of words, after loops have been vectorized."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        names: set[str] = set()
        compat.visit(func.body, ir.Call, lambda call: names.add(_name(call)))
        if not names & {*DOTS, *MAXIMA, JOIN4, SATURATE4, ROUNDED, MULTIPLY_ADD}:
            return func
        target = func.attrs["target"]
        known = set(llvm_get_cpu_features(target)) if target.kind.name == "llvm" else set()
        body = (
            compat.rewrite(func.body, tirx.SeqStmt, _row_by_row) if "neon" in known else func.body
        )
        return func.with_body(compat.rewrite(body, ir.Call, lambda call: _lower(call, known)))


def _name(call: Any) -> str:
    return str(call.op.name) if isinstance(call.op, ir.Op) else ""


def _row_by_row(seq: tirx.SeqStmt) -> tirx.SeqStmt:
    """Return statements with a fence where products in 16 bits take another weight.

    LLVM would begin so many products at a time that sums leave their registers.
    """
    found: list[Any] = []
    for node, after in zip(seq.seq, [*seq.seq[1:], None], strict=True):
        found.append(node)
        weights = _weights(node)
        if weights is not None and str(weights) != str(_weights(after)):
            value = tirx.BufferLoad(node.buffer, node.indices)
            found.append(fence(value))
    return tirx.SeqStmt(found)


def _weights(node: Any) -> Any:
    """Return the weights that a statement multiplies in 16 bits, None for any other one."""
    if not isinstance(node, tirx.BufferStore) or not isinstance(node.value, ir.Call):
        return None
    dot = DOTS.get(_name(node.value))
    return node.value.args[2] if dot is not None and dot.narrow else None


def _lower(call: Any, features: Collection[str]) -> Any:
    name = _name(call)
    if name in DOTS:
        lanes = tvm.DataType(str(call.ty.dtype)).lanes
        return instruction(features, DOTS[name], lanes)(*call.args)
    if name in MAXIMA:
        kind = "int8" if MAXIMA[name].signed else "uint8"
        return tirx.reinterpret(call.ty.dtype, tirx.max(*(octets(a, kind) for a in call.args)))
    if name == ROUNDED:
        return tirx.call_llvm_pure_intrin(call.ty.dtype, "llvm.arithmetic.fence", *call.args)
    if name == MULTIPLY_ADD:
        return tirx.call_llvm_pure_intrin(call.ty.dtype, "llvm.fma", *call.args)
    if name == SATURATE4:
        return saturated(*call.args)
    return joined(*call.args) if name == JOIN4 else call
