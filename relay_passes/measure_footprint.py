"""Count the layout conversions and the memory of a module that is ready for code generation.

Nothing is rewritten. In::

    storage = R.vm.alloc_storage(R.shape([4096]), ...)
    a = R.vm.alloc_tensor(storage, 0, R.shape([16, 64]), ...)
    transpose(x, a)                                          # Y[j, i] = X[i, j]
    R.vm.kill_object(storage)

there is one conversion, 4096 bytes of activations are alive at most, and what ``transpose``
allocates for itself is its workspace.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import tvm
from tvm import ir, relax, s_tir, tirx

from tvm_sparse import compat
from tvm_sparse.footprint import Footprint
from tvm_sparse.relay_passes import expr

_STORAGE, _TENSOR = "relax.vm.alloc_storage", "relax.vm.alloc_tensor"
_KILL, _VIEW = "relax.vm.kill_object", "vm.builtin.reshape"
_REGISTERS = "local"  # the scope of buffers that become registers


def measure_footprint(mod: tvm.IRModule, threads: int = 1) -> Footprint:
    """Return what a module moves and keeps in memory.

    Parameters
    ----------
    mod : IRModule
        As the pipeline leaves it.
    threads : int
        Threads that run a kernel's parallel loop: each has a workspace of its own.
    """
    functions = [func for _, func in mod.functions_items() if isinstance(func, relax.Function)]
    calls = [call for func in functions for _, call in _calls(func)]
    kernels = [mod[call.op] for call in calls if isinstance(call.op, ir.GlobalVar)]
    kernels = [kernel for kernel in kernels if isinstance(kernel, tirx.PrimFunc)]
    return Footprint(
        conversions=sum(_only_moves(kernel) for kernel in kernels),
        activations=sum(_most_alive(func) for func in functions),
        unshared=sum(_nbytes(call) for call in calls if expr.op_name(call) == _TENSOR),
        workspace=max(_workspaces(mod, threads), default=0),
        constants=sum(_constants(functions).values()),
    )


def _calls(func: relax.Function) -> list[tuple[relax.Var, Any]]:
    """Return the calls of a function, also those in branches, with what they are bound to."""
    bindings: list[relax.VarBinding] = []
    compat.visit(func, relax.VarBinding, bindings.append)
    return [(b.var, b.value) for b in bindings if isinstance(b.value, relax.Call)]


def _most_alive(func: relax.Function) -> int:
    """Follow allocations and their ends; memory lives while anything that lies in it does."""
    alive, most = 0, 0
    sizes: dict[relax.Var, int] = {}
    lies_in: dict[relax.Var, relax.Var] = {}
    readers: Counter[relax.Var] = Counter()
    for var, call in _calls(func):
        name = expr.op_name(call) or _packed(call)
        if name == _STORAGE:
            sizes[var], lies_in[var] = _size(call.args[0]), var
            alive += sizes[var]
            most = max(most, alive)
        if name in (_TENSOR, _VIEW) and call.args[0] in lies_in:
            lies_in[var] = lies_in[call.args[0]]
        if name in (_STORAGE, _TENSOR, _VIEW) and var in lies_in:
            readers[lies_in[var]] += 1
        if name == _KILL and call.args[0] in lies_in:
            storage = lies_in.pop(call.args[0])
            readers[storage] -= 1
            alive -= 0 if readers[storage] else sizes[storage]
    return most


def _packed(call: Any) -> str:
    return str(call.op.global_symbol) if isinstance(call.op, relax.ExternFunc) else ""


def _size(shape: relax.ShapeExpr) -> int:
    return math.prod(int(size) for size in shape.values)


def _nbytes(tensor: relax.Call) -> int:
    """Return the bytes of an allocated tensor."""
    return _size(tensor.ty.shape) * _item(tensor.ty.dtype)


def _item(dtype: Any) -> int:
    """Return the bytes of one element."""
    kind = tvm.DataType(str(dtype))
    return -(-int(kind.bits) * int(kind.lanes) // 8)


def _only_moves(func: tirx.PrimFunc) -> bool:
    """Whether a kernel writes all elements of one tensor into another one, as they are."""
    tensors = [param for param in func.params if isinstance(param, tirx.Buffer)]
    sizes = [math.prod(int(size) for size in tensor.shape) for tensor in tensors]
    stores: list[tirx.BufferStore] = []
    compat.visit(func.body, tirx.BufferStore, stores.append)
    return len(sizes) == 2 and sizes[0] == sizes[1] and all(_moved(store.value) for store in stores)


def _moved(value: Any) -> bool:
    """Whether an expression is an element, or a vector of elements, without arithmetic."""
    if isinstance(value, tirx.Shuffle):
        return all(_moved(vector) for vector in value.vectors)
    return isinstance(value, ir.TensorLoad)


def _workspaces(mod: tvm.IRModule, threads: int) -> list[int]:
    """Return the bytes that each kernel allocates outside registers."""
    lowering = tvm.transform.Sequential(
        [
            s_tir.transform.LowerInitBlock(),
            s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
            s_tir.transform.ConvertBlocksToOpaque(),
            s_tir.transform.CompactBufferAllocation(),
            s_tir.transform.LowerOpaqueBlock(),
        ]
    )
    functions = lowering(mod).functions_items()
    return [_workspace(f.body, threads) for _, f in functions if isinstance(f, tirx.PrimFunc)]


def _workspace(body: Any, threads: int) -> int:
    loops: list[tirx.For] = []
    compat.visit(body, tirx.For, loops.append)
    parallel = [loop for loop in loops if loop.kind == tirx.ForKind.PARALLEL]
    more = [(min(threads, int(loop.extent)) - 1) * _allocated(loop.body) for loop in parallel]
    return _allocated(body) + sum(more)


def _allocated(body: Any) -> int:
    found: list[tirx.AllocBuffer] = []
    compat.visit(body, tirx.AllocBuffer, found.append)
    buffers = [node.buffer for node in found if node.buffer.scope() != _REGISTERS]
    return sum(math.prod(int(n) for n in b.shape) * _item(b.dtype) for b in buffers)


def _constants(functions: list[relax.Function]) -> dict[Any, int]:
    """Return the bytes of every distinct constant tensor."""
    found: list[Any] = []
    for func in functions:
        compat.visit(func, ir.GenericConst, found.append)
    tensors = [node for node in found if isinstance(node.ty, relax.TensorType)]
    return {node: _size(node.ty.shape) * _item(node.ty.dtype) for node in tensors}
