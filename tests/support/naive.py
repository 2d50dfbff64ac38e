"""Find loop nests that no schedule has touched."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import s_tir, tirx

from tvm_sparse import compat

_MUCH = 4096  # iterations from which a scalar loop counts
_VECTOR = 16


def naive_loops(mod: tvm.IRModule) -> list[str]:
    """Return the functions that store element by element in a long innermost loop."""
    found: list[str] = []
    for var, func in mod.functions_items():
        if isinstance(func, tirx.PrimFunc):
            found.extend(f"{var.name_hint}: {text}" for text in _naive(func.body, []))
    return found


def _naive(node: Any, around: list[tirx.For]) -> list[str]:
    if isinstance(node, tirx.For):
        return _naive(node.body, [*around, node])
    if isinstance(node, tirx.SeqStmt):
        return [text for statement in node.seq for text in _naive(statement, around)]
    if isinstance(node, tirx.IfThenElse):
        other = [] if node.else_case is None else _naive(node.else_case, around)
        return _naive(node.then_case, around) + other
    if isinstance(node, s_tir.SBlockRealize):
        return _naive(node.block.body, around)
    if isinstance(node, tirx.AttrStmt):
        return _naive(node.body, around)
    return _judge(node, around) if isinstance(node, tirx.BufferStore) else []


def _judge(store: tirx.BufferStore, around: list[tirx.For]) -> list[str]:
    if any(isinstance(index, tirx.Ramp) for index in store.indices):
        return []
    if any(loop.kind == tirx.ForKind.VECTORIZED for loop in around):
        return []
    total, inner = 1, None
    for loop in around:
        size = int(loop.extent) if isinstance(loop.extent, tirx.IntImm) else _VECTOR
        total *= size
        inner = loop if size > 1 else inner
    if inner is None or total < _MUCH or not _walks_along(store, inner):
        return []
    if isinstance(inner.extent, tirx.IntImm) and int(inner.extent) <= _VECTOR:
        return []
    return [f"{store.buffer.name} stored {total} times, one by one"]


def _walks_along(store: tirx.BufferStore, loop: tirx.For) -> bool:
    """Whether a loop stores neighbours one after another, as a vector would."""
    if not store.indices:
        return False
    last = store.indices[-1]
    step = compat.substitute(last, {loop.loop_var: loop.loop_var + 1}) - last
    return bool(compat.analyzer().can_prove_equal(step, 1))
