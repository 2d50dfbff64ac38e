"""Statements of TIR."""

from __future__ import annotations

import math
from typing import Any

from tvm_sparse.targets.vulkan.spirv import memory, subgroups
from tvm_sparse.targets.vulkan.spirv.arithmetic import binary, convert
from tvm_sparse.targets.vulkan.spirv.body import Body
from tvm_sparse.targets.vulkan.spirv.codes import Op
from tvm_sparse.targets.vulkan.spirv.expressions import Expressions, Value, key
from tvm_sparse.targets.vulkan.spirv.memory import Region
from tvm_sparse.targets.vulkan.spirv.types import UINT32, Type, parse

_UNROLLED = 3
_WORKGROUP = 2
# Acquire and release what the workgroup shares, and what its threads wrote to storage buffers.
_ORDER = {"shared": 0x108, "shared.dyn": 0x108, "global": 0x148}


class Statements(Expressions):
    """Writes statements into a kernel's body.

    Parameters
    ----------
    body : Body
    threads : dict
        By thread tag, e.g. ``threadIdx.x``: the id of the uint32 that the device gives.
    """

    def __init__(self, body: Body, threads: dict[str, int]) -> None:
        super().__init__(body)
        self._threads = threads
        self.extents: dict[str, Any] = {}
        self.shared_bytes = 0
        self._parts: dict[Type, Region] = {}  # what subgroups leave for each other

    def run(self, node: Any) -> None:
        """Write a statement.

        Raises
        ------
        NotImplementedError
            If SPIR-V, or the target, cannot do it.
        """
        name = type(node).__name__
        visit = getattr(self, f"_run_{name}", None)
        if visit is None:
            raise NotImplementedError(f"it contains a statement {name}")
        visit(node)

    def _run_SeqStmt(self, node: Any) -> None:
        for statement in node.seq:
            self.run(statement)

    def _run_AttrStmt(self, node: Any) -> None:
        if node.attr_key == "thread_extent":
            self._bind_thread(node)
        self.run(node.body)

    def _bind_thread(self, node: Any) -> None:
        tag = str(node.node.thread_tag)
        if tag not in self._threads:
            raise NotImplementedError(f"it runs on {tag}")
        self.extents[tag] = node.value
        kind = parse(node.node.var.ty.dtype)[0]
        index = convert(self.body, self._threads[tag], UINT32, kind)
        self.values[key(node.node.var)] = (index,)

    def _run_Bind(self, node: Any) -> None:
        self.values[key(node.var)] = self.value(node.value)

    def _run_DeclBuffer(self, node: Any) -> None:
        data = node.data
        while getattr(data, "args", None):
            data = data.args[0]
        found = self.regions[key(data)]
        value, lanes = parse(node.buffer.dtype)
        if (value, lanes) != (found.value, found.lanes):
            raise NotImplementedError(f"it reads {found.value} memory as {node.buffer.dtype}")
        self.regions[key(node.buffer)] = found

    def _run_AllocBuffer(self, node: Any) -> None:
        buffer = node.buffer
        scope = str(buffer.scope()) or "local"
        if not scope.startswith(("shared", "local")) or scope == "shared.dyn":
            raise NotImplementedError(f"it allocates memory of scope {scope}")
        value, lanes = parse(buffer.dtype)
        size = 1
        for extent in buffer.shape:
            size *= int(extent)
        shared = scope.startswith("shared")
        region = memory.array(self.body, shared, size, value, lanes)
        self.shared_bytes += shared * size * lanes * max(value.bits // 8, 1)
        self.regions[key(buffer)] = self.regions[key(buffer.data)] = region

    def _run_BufferStore(self, node: Any) -> None:
        region = self.region(node.buffer)
        values = self.value(node.value)
        for index, value in zip(self.indices(region, node.indices[0]), values, strict=True):
            memory.store(self.body, region, index, value)

    def _run_IfThenElse(self, node: Any) -> None:
        with self.body.when(self.scalar(node.condition)) as otherwise:
            self.run(node.then_case)
            if node.else_case is not None:
                otherwise()
                self.run(node.else_case)

    def _run_For(self, node: Any) -> None:
        kind = parse(node.loop_var.ty.dtype)[0]
        counter = self.body.variable(self.body.module.scalar(kind))
        first = self.scalar(node.min)
        end = self.body.op(Op.IAdd, kind, first, self.scalar(node.extent))
        step = self.body.module.constant(kind, 1) if node.step is None else self.scalar(node.step)
        self.body.add(Op.Store, counter, first)

        def current() -> int:
            return self.body.op(Op.Load, kind, counter)

        def further() -> None:
            self.body.add(Op.Store, counter, self.body.op(Op.IAdd, kind, current(), step))

        unroll = int(node.kind) == _UNROLLED
        with self.body.loop(lambda: binary(self.body, "LT", kind, current(), end), further, unroll):
            index = current()
            self.values[key(node.loop_var)] = (index,)
            self.run(node.body)

    def _run_While(self, node: Any) -> None:
        with self.body.loop(lambda: self.scalar(node.condition), lambda: None):
            self.run(node.body)

    def _run_Break(self, node: Any) -> None:
        self.body.leave(again=False)

    def _run_Continue(self, node: Any) -> None:
        self.body.leave(again=True)

    def _run_AssertStmt(self, node: Any) -> None:
        pass

    def _run_Evaluate(self, node: Any) -> None:
        if type(node.value).__name__ != "Call":
            return
        name = str(node.value.op.name).rsplit(".", 1)[-1]
        if name == "tvm_storage_sync":
            self._barrier(str(node.value.args[0].value))
        elif name in ("break_loop", "continue_loop"):
            self.body.leave(again=name == "continue_loop")
        elif name in ("thread_return", "ret"):
            self.body.end()
        else:
            self.value(node.value)

    def _call_workgroup_reduce(self, node: Any, arguments: list[Any]) -> Value:
        kind = parse(node.ty.dtype)[0]
        name, value = str(arguments[0].value), self.scalar(arguments[1])
        if kind not in self._parts:
            threads = [n for tag, n in self.extents.items() if tag.startswith("threadIdx")]
            size = math.prod(int(n) for n in threads)
            self._parts[kind] = memory.array(self.body, True, size, kind, 1)
            self.shared_bytes += size * kind.bits // 8
        parts = self._parts[kind]
        total = subgroups.over_workgroup(
            self.body, name, kind, value, parts, lambda: self._barrier("shared")
        )
        return (total,)

    def _barrier(self, scope: str) -> None:
        """Wait for the workgroup; threads of a warp are never taken to run in step."""
        if scope not in _ORDER:
            raise NotImplementedError(
                f"it synchronizes the threads of a {scope}: build for a target with "
                "thread_warp_size 1, because drivers differ in which threads run together"
            )
        workgroup, order = (
            self.body.module.constant(UINT32, number) for number in (_WORKGROUP, _ORDER[scope])
        )
        self.body.add(Op.ControlBarrier, workgroup, workgroup, order)
        self.body.forget_loads()
