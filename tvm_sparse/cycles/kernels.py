"""A model as compiled kernels and the calls that a run makes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import ir, relax, tirx

from tvm_sparse.cycles.calls import Argument, Call
from tvm_sparse.relay_passes import code_generation, expr, pipeline
from tvm_sparse.relay_passes.pack_sparse import Decide
from tvm_sparse.relay_passes.schedule import ScheduleFunctions
from tvm_sparse.targets import Target


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """Compiled kernels, and how a run calls them.

    Parameters
    ----------
    executable : tvm.runtime.Executable
        The functions, without the virtual machine that calls them in a network.
    calls : tuple of Call
        In the order of execution.
    lowered : IRModule
        The model before its kernels were scheduled; carries the report.
    """

    executable: Any
    calls: tuple[Call, ...]
    lowered: tvm.IRModule


def kernels(
    mod: tvm.IRModule, target: Target, sparse: bool = True, decide: Decide | None = None
) -> Kernels:
    """Compile the kernels of an imported model.

    Parameters
    ----------
    mod : IRModule
        As `tvm_sparse.frontend.import_model` returns it.
    target : Target
    sparse, decide
        As `tvm_sparse.relay_passes.pipeline.passes` takes them.
    """
    passes = [*pipeline.simplify(), *pipeline.lower(target, sparse, decide), *pipeline.fuse()]
    with target.to_tvm():
        fused = tvm.transform.Sequential(passes)(mod)
        made = tuple(_calls(fused))
        functions = {
            var: func.with_attr("global_symbol", var.name_hint)
            for var, func in fused.functions_items()
            if isinstance(func, tirx.PrimFunc)
        }
        schedule = tvm.transform.Sequential([ScheduleFunctions(target)])
        scheduled = schedule(tvm.IRModule(functions))
    built = tvm.compile(scheduled, target.to_tvm(), tir_pipeline=code_generation.NAME)
    return Kernels(executable=built, calls=made, lowered=fused)


def _calls(mod: tvm.IRModule) -> Iterator[Call]:
    """Yield the calls of kernels in a fused module."""
    uses = expr.Uses(mod["main"])
    for var, call in uses.values.items():
        if expr.op_name(call) == "relax.call_tir":
            read = [_read(uses.value(arg)) for arg in call.args[1].fields]
            name = call.args[0].name_hint
            yield Call(function=name, arguments=(*read, *_written(var.ty)))


def _read(value: Any) -> Argument:
    if isinstance(value, ir.GenericConst):
        array = value.value.numpy()
        return Argument(shape=array.shape, dtype=str(array.dtype), value=array)
    return Argument(shape=expr.shape(value) or (), dtype=str(value.ty.dtype))


def _written(kind: Any) -> list[Argument]:
    if isinstance(kind, relax.TensorType):
        shape = tuple(int(size) for size in kind.shape.values)
        return [Argument(shape=shape, dtype=str(kind.dtype))]
    return [argument for field in kind.fields for argument in _written(field)]
