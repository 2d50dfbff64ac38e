"""The TVM calls that move between releases, behind one door.

Everything else in this package uses TVM's documented API; what has changed its name or its place
from one release to the next is reached from here.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import FrameType, ModuleType
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, sym, tirx
from tvm.script.parser.core import doc
from tvm.script.parser.core.parser import ScriptMacro
from tvm.tirx.script.parser import entry

from tvm_sparse import errors

# Errors of ours that are raised inside a pass cross C++ and must come out as what they were.
for _kind in (errors.ModelError, errors.FormatError, errors.TargetError):
    tvm_ffi.register_error(_kind.__name__, _kind)


def _parser_of_caller(macro: ScriptMacro) -> Any:
    """Return the parser that is expanding a macro, as TVM's own method does.

    That one has Python read the source of every frame on the stack, at every call of a macro: half
    of the time that building a kernel took.
    """
    frame = sys._getframe()
    while frame is not None:
        parser = frame.f_globals.get(ScriptMacro.parser_object_name)
        if parser is not None:
            return parser
        frame = frame.f_back  # type: ignore[assignment]
    raise RuntimeError(f"{ScriptMacro.parser_object_name} not available")


if hasattr(ScriptMacro, "_find_parser_def"):
    ScriptMacro._find_parser_def = _parser_of_caller

_syntax = cache(doc.parse)
_macro_def = ScriptMacro.get_macro_def


def _macro_def_once(macro: ScriptMacro) -> Any:
    """Return a macro's definition; TVM's own method parses the source at every call of a macro.

    Macros of others may define functions inside, which changes what was parsed.
    """
    if not macro.func.__module__.startswith("tvm_sparse."):
        return _macro_def(macro)
    found = (node for node in _syntax(macro.source.source).body if hasattr(node, "name"))
    return next(node for node in found if node.name == macro.func.__name__)


ScriptMacro.get_macro_def = _macro_def_once


class _Stack:
    """What ``inspect.stack()`` returns, with a frame's source read when that frame is asked for.

    ``T.prim_func`` takes the whole stack twice for a function, and looks at one frame of it.
    """

    def __init__(self) -> None:
        self._frames: list[FrameType] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            self._frames.append(frame)
            frame = frame.f_back

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, place: Any) -> Any:
        found = self._frames[place]
        return [_told(one) for one in found] if isinstance(found, list) else _told(found)


def _told(frame: FrameType) -> inspect.FrameInfo:
    return inspect.FrameInfo(frame, *inspect.getframeinfo(frame))


if getattr(entry, "inspect", None) is inspect:
    entry.inspect = ModuleType("inspect")
    entry.inspect.__dict__.update({**vars(inspect), "stack": _Stack})


def analyzer() -> Any:
    """Return a new arithmetic analyzer."""
    return sym.Analyzer()


def substitute(node: Any, values: Mapping[Any, Any]) -> Any:
    """Return the expression or statement with variables replaced."""
    return tvm_ffi.structural_map(node, (tvm.ir.Var, lambda var: values.get(var, var)))


def rewrite(node: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Return the statement with `change` applied to every node of a kind, innermost first."""
    return tvm_ffi.structural_map(node, (kind, change))


def visit(node: Any, kind: Any, look: Callable[[Any], None]) -> None:
    """Call `look` on every node of a kind, outermost first."""

    def callback(found: Any) -> None:
        look(found)

    tvm_ffi.structural_walk(node, (kind, callback), order="pre")


def uses(node: Any, variables: set[Any]) -> bool:
    """Whether an expression or statement reads one of the variables."""
    found: list[Any] = []
    visit(node, tvm.ir.Var, lambda var: found.append(var) if var in variables else None)
    return bool(found)


def assertion(condition: Any, message: str) -> Any:
    """Return a statement that raises a RuntimeError unless a condition holds.

    TVM 0.27 takes the condition first, and hands on its parameters in the order of their names.
    """
    kind = tvm.ir.StringImm("RuntimeError")
    return tirx.AssertStmt(condition, kind, [tvm.ir.StringImm(message)])


def copied(loop: tirx.For) -> tirx.For:
    """Return a loop with variables of its own, so that it can stand beside the original."""
    fresh: dict[Any, Any] = {}

    def rename(var: Any) -> None:
        fresh.setdefault(var, tirx.Var(var.name, var.ty))

    def rename_axes(block: s_tir.SBlock) -> None:
        for iv in block.iter_vars:
            rename(iv.var)

    visit(loop, tirx.For, lambda node: rename(node.loop_var))
    visit(loop, s_tir.SBlock, rename_axes)
    return substitute(loop, fresh)


def with_block(realize: s_tir.SBlockRealize, **changes: Any) -> s_tir.SBlock:
    """Return a block realization's block with some fields replaced."""
    block = realize.block if isinstance(realize, s_tir.SBlockRealize) else realize
    names = ("iter_vars", "reads", "writes", "name_hint", "body", "init")
    more = ("alloc_buffers", "match_buffers", "annotations")
    return s_tir.SBlock(*(changes.get(name, getattr(block, name)) for name in names + more))


def with_loop(loop: tirx.For, **changes: Any) -> tirx.For:
    """Return a loop with some fields replaced."""
    names = ("loop_var", "min", "extent", "kind", "body", "thread_binding", "annotations")
    return tirx.For(*(changes.get(name, getattr(loop, name)) for name in names))


def conjuncts(condition: Any) -> list[Any]:
    """Split ``a and b and …`` into its terms."""
    if isinstance(condition, tirx.And):
        return conjuncts(condition.a) + conjuncts(condition.b)
    return [] if is_true(condition) else [condition]


def conjunction(terms: list[Any]) -> Any:
    """Join terms with ``and``; true when there are none."""
    joined = tirx.const(True, "bool")
    for i, term in enumerate(terms):
        joined = term if i == 0 else tirx.And(joined, term)
    return joined


def is_true(condition: Any) -> bool:
    """Whether a condition is the constant true."""
    return isinstance(condition, tirx.IntImm) and bool(condition.value)


def block_bindings(sch: s_tir.Schedule, block: Any) -> list[tuple[Any, Any]]:
    """Return (kind of axis, bound expression) for each axis of a scheduled block."""
    stmt = sch.get(block)
    found: list[Any] = []
    visit(sch.mod["main"].body, s_tir.SBlockRealize, found.append)
    realize = next(node for node in found if node.block.same_as(stmt))
    kinds = [iv.iter_type for iv in stmt.iter_vars]
    return list(zip(kinds, realize.iter_values, strict=True))


def first_block(body: Any) -> tuple[s_tir.SBlockRealize, dict[Any, Any]]:
    """Return the first block in a statement, and its axes where all loops in between begin."""
    found: list[Any] = []
    values: dict[Any, Any] = {}
    visit(body, s_tir.SBlockRealize, found.append)
    axes = (axis.var for axis in found[0].block.iter_vars)
    values.update(zip(axes, found[0].iter_values, strict=True))
    visit(body, tirx.For, lambda loop: values.update({loop.loop_var: loop.min}))
    return found[0], values


@contextmanager
def without_tensor_intrinsics() -> Iterator[None]:
    """Let `TuneContext` be made without TVM's intrinsics, which take ten seconds to parse.

    It imports them for schedules that tensorize; ours do not.
    """
    name = "tvm.s_tir.tensor_intrin"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]
