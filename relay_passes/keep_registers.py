"""Local buffers live on the stack, where LLVM turns them into registers.

TVM's own lowering asks the runtime for a workspace, once a tile, for every buffer that is not very
small. A register tile's sums are then memory that other pointers might reach, and stay in registers
only as long as nothing in the loop looks like an access to it, a prefetch for instance::

    A_local = TVMBackendAllocWorkspace(...)    →    A_local = alloca [384 x float]
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import tirx

from tvm_sparse import compat

_KEEP = "disable_lower_builtin"  # TVM's annotation for "leave this allocation as it is"


@tirx.transform.prim_func_pass(opt_level=0, name="KeepRegisters")
class KeepRegisters:
    """Leave the allocations of local buffers as they are."""

    def transform_function(
        self, func: tirx.PrimFunc, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> tirx.PrimFunc:
        """Rewrite one function."""
        return func.with_body(compat.rewrite(func.body, tirx.AllocBuffer, _keep))


def _keep(allocation: Any) -> Any:
    if allocation.buffer.scope() != "local":
        return allocation
    annotations = {**allocation.annotations, _KEEP: tirx.IntImm("int32", 1)}
    return tirx.AllocBuffer(allocation.buffer, annotations)
