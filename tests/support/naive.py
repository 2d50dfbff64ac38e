"""Find loop nests that no schedule has touched."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import s_tir, tirx

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
    sizes = [int(loop.extent) if isinstance(loop.extent, tirx.IntImm) else 16 for loop in around]
    total = 1
    for size in sizes:
        total *= size
    inner = next((size for size in reversed(sizes) if size > 1), 1)
    if total < _MUCH or inner <= _VECTOR:
        return []
    return [f"{store.buffer.name} stored {total} times, one by one"]
