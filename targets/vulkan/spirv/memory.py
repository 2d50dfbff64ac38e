"""Buffers: storage buffers of a kernel, shared and private arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tvm_sparse.targets.vulkan.spirv.body import Body
from tvm_sparse.targets.vulkan.spirv.codes import Capability, Decoration, Op, Storage
from tvm_sparse.targets.vulkan.spirv.module import Module
from tvm_sparse.targets.vulkan.spirv.types import BOOL, INT32, UINT8, UINT32, Type


@dataclass
class Region:
    """Memory that a TIR buffer stands for.

    Parameters
    ----------
    variable : int
        Id of the SPIR-V variable.
    storage : Storage
    stored, value : Type
        A scalar in memory and in code: booleans are bytes in storage buffers.
    lanes : int
        Scalars in an element of the buffer's dtype.
    written : bool
        Whether the kernel stores to it.
    overlaps : set of int
        The variables that may be the same memory: storage buffers that a caller binds twice.
    binding : int
        The number of a storage buffer among the kernel's arguments.
    """

    variable: int
    storage: Storage
    stored: Type
    value: Type
    lanes: int = 1
    written: bool = False
    overlaps: set[int] = field(default_factory=set)
    binding: int = -1


def argument(module: Module, binding: int, value: Type, lanes: int) -> Region:
    """Declare a storage buffer that is bound as the kernel's argument."""
    stored = UINT8 if value == BOOL else value
    if stored.bits == 8:
        module.need(Capability.StorageBuffer8BitAccess)
    if stored.bits == 16:
        module.need(Capability.StorageBuffer16BitAccess)
    array = module.define(Op.TypeRuntimeArray, module.scalar(stored))
    block = module.define(Op.TypeStruct, array)
    if module.once(("block", block)):
        module.decorate(array, Decoration.ArrayStride, stored.bits // 8)
        module.decorate(block, Decoration.Block)
        module.decorate_member(block, 0, Decoration.Offset, 0)
    variable = module.variable(Storage.StorageBuffer, block)
    module.decorate(variable, Decoration.DescriptorSet, 0)
    module.decorate(variable, Decoration.Binding, binding)
    return Region(variable, Storage.StorageBuffer, stored, value, lanes, binding=binding)


def as_words(module: Module, region: Region) -> Region:
    """Declare a storage buffer of 32-bit scalars once more, as words."""
    words = argument(module, region.binding, UINT32, region.lanes)
    for variable in (region.variable, words.variable):
        if module.once(("aliased", variable)):
            module.decorate(variable, Decoration.Aliased)
    return words


def array(body: Body, shared: bool, size: int, value: Type, lanes: int) -> Region:
    """Declare an array that a workgroup shares, or one of each thread; `size` in elements."""
    module = body.module
    length = module.constant(UINT32, max(size * lanes, 1))
    kind = module.define(Op.TypeArray, module.scalar(value), length)
    storage = Storage.Workgroup if shared else Storage.Function
    variable = module.variable(storage, kind) if shared else body.variable(kind)
    return Region(variable, storage, value, value, lanes)


def load(body: Body, region: Region, index: int) -> int:
    """Return the scalar at an index."""
    found = body.load(region.stored, region.variable, _pointer(body, region, index))
    if region.stored == region.value:
        return found
    return body.op(Op.INotEqual, BOOL, found, body.module.constant(region.stored, 0))


def store(body: Body, region: Region, index: int, value: int) -> None:
    """Store a scalar at an index."""
    if region.stored != region.value:
        one, zero = (body.module.constant(region.stored, number) for number in (1, 0))
        value = body.op(Op.Select, region.stored, value, one, zero)
    region.written = True
    body.store(_pointer(body, region, index), value, region.overlaps or (region.variable,))


def pointer(body: Body, region: Region, index: int) -> int:
    """Return a pointer to the scalar at an index, for atomic operations."""
    region.written = True
    body.forget_loads()
    return _pointer(body, region, index)


def seal(module: Module, regions: Sequence[Region]) -> None:
    """Tell the driver which storage buffers are only read: it may cache them."""
    for region in regions:
        if not region.written:
            module.decorate(region.variable, Decoration.NonWritable)


def _pointer(body: Body, region: Region, index: int) -> int:
    kind = body.module.pointer(region.storage, body.module.scalar(region.stored))
    first = [body.module.constant(INT32, 0)] if region.storage == Storage.StorageBuffer else []
    return body.result(Op.AccessChain, kind, region.variable, *first, index)
