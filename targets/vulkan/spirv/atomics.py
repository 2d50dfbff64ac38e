"""Additions that no other thread gets between."""

from __future__ import annotations

from tvm_sparse.targets.vulkan.spirv import memory
from tvm_sparse.targets.vulkan.spirv.arithmetic import binary
from tvm_sparse.targets.vulkan.spirv.body import Body
from tvm_sparse.targets.vulkan.spirv.codes import Op, Storage
from tvm_sparse.targets.vulkan.spirv.memory import Region
from tvm_sparse.targets.vulkan.spirv.types import BOOL, FLOAT32, UINT32

_DEVICE, _WORKGROUP = 1, 2  # scopes
_RELAXED = 0


def add(body: Body, region: Region, index: int, value: int) -> int:
    """Add to the scalar at an index, and return what was there.

    Raises
    ------
    NotImplementedError
        If it is a float of another size, or one that a workgroup shares.
    """
    if region.value.kind == "float":
        return _add_float(body, region, index, value)
    scope = _DEVICE if region.storage == Storage.StorageBuffer else _WORKGROUP
    where = memory.pointer(body, region, index)
    ids = (body.module.constant(UINT32, number) for number in (scope, _RELAXED))
    return body.op(Op.AtomicIAdd, region.value, where, *ids, value)


def _add_float(body: Body, region: Region, index: int, value: int) -> int:
    """Add to the float's bits, as often as another thread was faster."""
    if region.value != FLOAT32 or region.storage != Storage.StorageBuffer:
        raise NotImplementedError(
            f"it adds to {region.value} that is no float32 of a buffer atomically"
        )
    region.written = True
    where = memory.pointer(body, memory.as_words(body.module, region), index)
    scope, order = (body.module.constant(UINT32, number) for number in (_DEVICE, _RELAXED))
    bits, done = (body.variable(body.module.scalar(kind)) for kind in (UINT32, BOOL))
    body.add(Op.Store, bits, body.op(Op.AtomicLoad, UINT32, where, scope, order))
    body.add(Op.Store, done, body.module.constant(BOOL, False))

    def again() -> int:
        return body.op(Op.LogicalNot, BOOL, body.op(Op.Load, BOOL, done))

    with body.loop(again, lambda: None):
        before = body.op(Op.Load, UINT32, bits)
        total = binary(body, "Add", FLOAT32, body.op(Op.Bitcast, FLOAT32, before), value)
        after = body.op(Op.Bitcast, UINT32, total)
        operands = (where, scope, order, order, after, before)
        seen = body.op(Op.AtomicCompareExchange, UINT32, *operands)
        body.add(Op.Store, bits, seen)
        body.add(Op.Store, done, binary(body, "EQ", UINT32, seen, before))
    body.forget_loads()
    return body.op(Op.Bitcast, FLOAT32, body.op(Op.Load, UINT32, bits))
