"""One device function as a SPIR-V module."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tvm_sparse.targets.vulkan.spirv import memory
from tvm_sparse.targets.vulkan.spirv.body import Body
from tvm_sparse.targets.vulkan.spirv.codes import BuiltIn, Decoration, Op, Storage
from tvm_sparse.targets.vulkan.spirv.expressions import key
from tvm_sparse.targets.vulkan.spirv.module import Module
from tvm_sparse.targets.vulkan.spirv.statements import Statements
from tvm_sparse.targets.vulkan.spirv.types import BOOL, INT32, UINT32, Type, parse

# Every device allows a grid of so many workgroups in each dimension.
_GRID = 65535
# In a shader's flags: the first workgroup's index follows the scalars.
SPLIT_GRID = 2


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A compiled kernel.

    Parameters
    ----------
    name : str
    code : bytes
        SPIR-V, little-endian.
    flags : int
        As TVM's Vulkan runtime stores them with a shader.
    arguments : tuple of str
        Dtypes of the scalars, and ``handle`` for buffers.
    launch : tuple of str
        What follows the arguments when it is called, e.g. ``blockIdx.x``.
    """

    name: str
    code: bytes
    flags: int
    arguments: tuple[str, ...]
    launch: tuple[str, ...]


def compile_kernel(func: Any, features: Mapping[str, Any]) -> Kernel:
    """Compile a device function as TVM's lowering leaves it.

    Parameters
    ----------
    func : PrimFunc
        With the attributes ``global_symbol`` and ``tirx.kernel_launch_params``.
    features : mapping
        The target's attributes.

    Raises
    ------
    NotImplementedError
        If SPIR-V, or the target, cannot do what it does.
    """
    module = Module(features)
    body = Body(module)
    split = _splits(func.body)
    scalars = [p for p in func.params if not _is_buffer(p)]
    pushed = _pushed(module, [parse(p.ty.dtype)[0] for p in scalars], split)
    statements = Statements(body, _threads(body, pushed, len(scalars), split))
    regions = _bind(statements, func.params, pushed)
    statements.run(func.body)
    _check_shared(statements.shared_bytes, features)
    memory.seal(module, regions)
    name = str(func.attrs["global_symbol"])
    sizes = [int(statements.extents.get(f"threadIdx.{axis}", 1)) for axis in "xyz"]
    words = module.finish(name, sizes, body.finish())
    return Kernel(
        name=name,
        code=struct.pack(f"<{len(words)}I", *words),
        flags=SPLIT_GRID if split else 0,
        arguments=tuple("handle" if _is_buffer(p) else str(p.ty.dtype) for p in func.params),
        launch=tuple(str(tag) for tag in func.attrs["tirx.kernel_launch_params"]),
    )


def _is_buffer(param: Any) -> bool:
    return hasattr(param.ty, "element_type")


def _splits(node: Any) -> bool:
    """Whether the grid may be larger than every device allows."""
    from tvm import tirx

    from tvm_sparse import compat

    found: list[bool] = []

    def look(attribute: Any) -> None:
        if attribute.attr_key == "thread_extent" and "blockIdx" in str(attribute.node.thread_tag):
            found.append(getattr(attribute.value, "value", 0) > _GRID)

    compat.visit(node, tirx.AttrStmt, look)
    return any(found)


def _pushed(module: Module, kinds: list[Type], split: bool) -> int:
    """Declare the push constants: scalars eight bytes apart, then where the grid begins."""
    kinds = [INT32 if kind == BOOL else kind for kind in kinds]
    offsets = [8 * i for i in range(len(kinds))]
    if split:
        offsets += [8 * len(kinds) + 4 * i for i in range(3)]
        kinds = [*kinds, UINT32, UINT32, UINT32]
    if not kinds:
        return 0
    block = module.id()
    members = [module.scalar(kind) for kind in kinds]
    module.define_struct(block, members)
    module.decorate(block, Decoration.Block)
    for i, offset in enumerate(offsets):
        module.decorate_member(block, i, Decoration.Offset, offset)
    return module.variable(Storage.PushConstant, block)


def _member(body: Body, pushed: int, member: int, kind: Type) -> int:
    pointer = body.module.pointer(Storage.PushConstant, body.module.scalar(kind))
    where = body.result(Op.AccessChain, pointer, pushed, body.module.constant(INT32, member))
    return body.op(Op.Load, kind, where)


def _threads(body: Body, pushed: int, scalars: int, split: bool) -> dict[str, int]:
    """Return the id of each thread index."""
    found: dict[str, int] = {}
    module = body.module
    vector = module.vector(UINT32, 3)
    for name, built_in in (
        ("blockIdx", BuiltIn.WorkgroupId),
        ("threadIdx", BuiltIn.LocalInvocationId),
    ):
        variable = module.built_in(built_in, vector)
        whole = body.result(Op.Load, vector, variable)
        for i, axis in enumerate("xyz"):
            index = body.op(Op.CompositeExtract, UINT32, whole, i)
            if split and name == "blockIdx":
                base = _member(body, pushed, scalars + i, UINT32)
                index = body.op(Op.IAdd, UINT32, index, base)
            found[f"{name}.{axis}"] = index
    return found


def _bind(statements: Statements, params: Any, pushed: int) -> list[memory.Region]:
    """Bind a kernel's parameters, and return its buffers."""
    regions: list[memory.Region] = []
    scalars = 0
    for param in params:
        if _is_buffer(param):
            value, lanes = parse(param.ty.element_type.dtype)
            region = memory.argument(statements.body.module, len(regions), value, lanes)
            regions.append(region)
            statements.regions[key(param)] = region
            continue
        kind = parse(param.ty.dtype)[0]
        stored = INT32 if kind == BOOL else kind
        value_id = _member(statements.body, pushed, scalars, stored)
        if kind == BOOL:
            zero = statements.body.module.constant(INT32, 0)
            value_id = statements.body.op(Op.INotEqual, BOOL, value_id, zero)
        statements.values[key(param)] = (value_id,)
        scalars += 1
    buffers = {region.variable for region in regions}
    for region in regions:
        region.overlaps = buffers
    return regions


def _check_shared(needed: int, features: Mapping[str, Any]) -> None:
    most = int(features.get("max_shared_memory_per_block", 16384))
    if needed > most:
        raise NotImplementedError(
            f"its threads share {needed} bytes, and the target allows {most} "
            "(max_shared_memory_per_block)"
        )
