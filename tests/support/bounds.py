"""Code generation in which every access to a buffer is checked, to find one outside its buffer."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import ir, s_tir, tirx

from tvm_sparse import compat
from tvm_sparse.relay_passes.lower_pairs import LowerPairs
from tvm_sparse.relay_passes.lower_words import LowerWords

NAME = "checked"


def _pipeline() -> tuple[Any, Any, Any]:
    """Return TVM's lowering, scalar, with an assertion before every store.

    The checks stand after buffers have been compacted, so that they see the shapes that are
    allocated. Unrolled loops stay loops: every check is made, and each is compiled once.
    """
    lower = s_tir.transform
    passes = tvm.transform.Sequential(
        [
            lower.CanonicalizeLoop(),
            lower.LowerInitBlock(),
            lower.PlanAndUpdateBufferAllocationLocation(),
            lower.ConvertBlocksToOpaque(),
            lower.CompactBufferAllocation(),
            lower.LowerMatchBuffer(),
            lower.LowerOpaqueBlock(),
            _check_stores,
            tirx.transform.FlattenBuffer(),
            tirx.transform.NarrowDataType(32),
            tirx.transform.VectorizeLoop(False),
            tirx.transform.StmtSimplify(),
            LowerWords(),
            LowerPairs(),
            tirx.transform.VerifyMemory(),
            tirx.transform.AnnotateEntryFunc(),
            tirx.transform.SplitHostDevice(),
            tirx.transform.MakePackedAPI(),
        ]
    )
    return passes, s_tir.pipeline.finalize_host_passes, s_tir.pipeline.finalize_device_passes


tirx.register_tir_pipeline(NAME, _pipeline)


@tirx.transform.prim_func_pass(opt_level=0)
def _check_stores(func: Any, mod: tvm.IRModule, ctx: Any) -> Any:
    body = compat.rewrite(func.body, tirx.For, _serial)
    return func.with_body(compat.rewrite(body, tirx.BufferStore, _checked))


def _serial(loop: Any) -> Any:
    plain = loop.kind in (tirx.ForKind.SERIAL, tirx.ForKind.PARALLEL)
    return loop if plain else compat.with_loop(loop, kind=tirx.ForKind.SERIAL)


def _checked(store: Any) -> Any:
    accesses = [(store.buffer, store.indices)]
    compat.visit(store, ir.TensorLoad, lambda load: accesses.append((load.source, load.indices)))
    checks = [
        tirx.AssertStmt(_inside(index, size), ir.StringImm("IndexError"), [_message(buffer)])
        for buffer, indices in accesses
        for index, size in zip(indices, buffer.shape, strict=True)
    ]
    return tirx.SeqStmt([*checks, store])


def _inside(index: Any, size: Any) -> Any:
    index = compat.analyzer().simplify(index)
    if isinstance(index, tirx.Ramp):
        last = index.base + (index.lanes - 1) * index.stride
        return tirx.all(index.base >= 0, last < size)
    assert not str(index.ty).count("x"), (index, type(index))
    return tirx.all(index >= 0, index < size)


def _message(buffer: Any) -> Any:
    return ir.StringImm(f"an index lies outside buffer {buffer.name}")
