"""What threads of a subgroup or of a workgroup compute together, see `tvm_sparse.subgroups`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tvm_sparse.targets.vulkan.spirv import memory
from tvm_sparse.targets.vulkan.spirv.arithmetic import binary
from tvm_sparse.targets.vulkan.spirv.body import Body
from tvm_sparse.targets.vulkan.spirv.codes import BuiltIn, Capability, Op
from tvm_sparse.targets.vulkan.spirv.memory import Region
from tvm_sparse.targets.vulkan.spirv.types import BOOL, UINT32, Type

_SUBGROUP = 3  # a scope
_REDUCE = 0  # a group operation
_OPS = {
    "add": {"float": Op.GroupNonUniformFAdd, "int": Op.GroupNonUniformIAdd},
    "max": {"float": Op.GroupNonUniformFMax, "int": Op.GroupNonUniformSMax},
    "min": {"float": Op.GroupNonUniformFMin, "int": Op.GroupNonUniformSMin},
}
_OPS_UNSIGNED = {"max": Op.GroupNonUniformUMax, "min": Op.GroupNonUniformUMin}
_NODES = {"add": "Add", "max": "Max", "min": "Min"}


def reduced(body: Body, name: str, kind: Type, value: int) -> int:
    """Return the sum, the largest or the smallest value of a subgroup.

    Raises
    ------
    NotImplementedError
        If it is not of 32 bits, or the target lacks such operations.
    """
    _check(kind)
    body.module.need(Capability.GroupNonUniform)
    body.module.need(Capability.GroupNonUniformArithmetic)
    known = _OPS[name]
    op = _OPS_UNSIGNED.get(name, known["int"]) if kind.kind == "uint" else known[kind.kind]
    return body.op(op, kind, _scope(body), _REDUCE, value)


def shuffled(body: Body, kind: Type, value: int, mask: int) -> int:
    """Return the value of the thread whose number differs in the bits of a mask.

    Raises
    ------
    NotImplementedError
        If it is not of 32 bits, or the target lacks such operations.
    """
    _check(kind)
    body.module.need(Capability.GroupNonUniform)
    body.module.need(Capability.GroupNonUniformShuffle)
    mask = body.op(Op.Bitcast, UINT32, mask)
    return body.op(Op.GroupNonUniformShuffleXor, kind, _scope(body), value, mask)


def over_workgroup(
    body: Body, name: str, kind: Type, value: int, parts: Region, wait: Callable[[], None]
) -> int:
    """Return the sum, the largest or the smallest value of a workgroup.

    Parameters
    ----------
    body, name, kind, value
    parts : Region
        Shared: an element for each thread, because a subgroup may be one.
    wait : callable
        Writes a barrier.
    """
    part = reduced(body, name, kind, value)
    with body.when(body.op(Op.GroupNonUniformElect, BOOL, _scope(body))):
        memory.store(body, parts, _built_in(body, BuiltIn.SubgroupId), part)
    wait()
    total = body.variable(body.module.scalar(kind))
    body.add(Op.Store, total, memory.load(body, parts, body.module.constant(UINT32, 0)))
    with _each(body, _built_in(body, BuiltIn.NumSubgroups)) as number:
        other = memory.load(body, parts, number)
        sums = binary(body, _NODES[name], kind, body.op(Op.Load, kind, total), other)
        body.add(Op.Store, total, sums)
    wait()
    return body.op(Op.Load, kind, total)


@contextmanager
def _each(body: Body, end: int) -> Iterator[int]:
    """Repeat a block for the numbers from 1 up to an end."""
    counter, one = body.variable(body.module.scalar(UINT32)), body.module.constant(UINT32, 1)
    body.add(Op.Store, counter, one)

    def current() -> int:
        return body.op(Op.Load, UINT32, counter)

    def further() -> None:
        body.add(Op.Store, counter, body.op(Op.IAdd, UINT32, current(), one))

    with body.loop(lambda: binary(body, "LT", UINT32, current(), end), further):
        yield current()


def _check(kind: Type) -> None:
    if kind.bits != 32:
        raise NotImplementedError(f"its subgroups exchange {kind}, which must have 32 bits")


def _scope(body: Body) -> int:
    return body.module.constant(UINT32, _SUBGROUP)


def _built_in(body: Body, which: BuiltIn) -> int:
    variable = body.module.built_in(which, body.module.scalar(UINT32))
    return body.op(Op.Load, UINT32, variable)
