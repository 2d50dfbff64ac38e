"""Reductions over all threads of a workgroup run in subgroups, where the device can do that.

TVM's own halve the number of threads again and again, and wait for all of them each time.

Before::

    T.attr(T.comm_reducer(lambda x, y: x + y, [0]), "reduce_scope", 0)
    T.tvm_thread_allreduce(1, part[0], True, total[0], threadIdx.x)

After::

    total[0] = tvm_sparse.workgroup_reduce("add", part[0])
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import ir, tirx

from tvm_sparse import compat, subgroups

_NAMES = {"Add": "add", "Max": "max", "Min": "min"}
_DTYPES = ("float32", "int32", "uint32")


@tirx.transform.prim_func_pass(opt_level=0, name="ReduceInSubgroups")
class ReduceInSubgroups:
    """Replace reductions across threads, after TVM has made them of its blocks."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        if not _supported(func) or _threads(func.body) != {"threadIdx.x"}:
            return func
        return func.with_body(compat.rewrite(func.body, tirx.AttrStmt, _reduced))


def _supported(func: tirx.PrimFunc) -> bool:
    target = (func.attrs or {}).get("target") or tvm.target.Target.current()
    needed = subgroups.BASIC | subgroups.ARITHMETIC
    known = 0 if target is None else int(target.attrs.get("supported_subgroup_operations", 0))
    return known & needed == needed


def _threads(body: Any) -> set[str]:
    """Return the axes along which a workgroup has threads."""
    found: set[str] = set()

    def look(loop: tirx.For) -> None:
        tag = "" if loop.thread_binding is None else str(loop.thread_binding.thread_tag)
        if tag.startswith("threadIdx") and getattr(loop.extent, "value", 0) != 1:
            found.add(tag)

    compat.visit(body, tirx.For, look)
    return found


def _reduced(node: tirx.AttrStmt) -> Any:
    if node.attr_key != "reduce_scope" or not isinstance(node.body, tirx.Evaluate):
        return node
    reducer, call = node.node, node.body.value
    name = _NAMES.get(type(reducer.result[0]).__name__) if len(reducer.result) == 1 else None
    if name is None or len(call.args) != 5:
        return node
    _, value, condition, total, _ = call.args
    if not compat.is_true(condition) or str(value.ty.dtype) not in _DTYPES:
        return node
    assert isinstance(total, ir.TensorLoad)
    return tirx.BufferStore(total.source, subgroups.workgroup_reduce(name, value), total.indices)
