"""A program of one kernel, to measure it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.metadata import version

import tvm

from tvm_sparse.artifact import Description, TensorInfo
from tvm_sparse.program.plan import Array, Call, Plan, Tensor
from tvm_sparse.targets import Target


def plan(kernel: str, arrays: Sequence[Array], constants: Collection[int]) -> Plan:
    """Return a plan that calls a kernel once.

    Parameters
    ----------
    kernel : str
    arrays : sequence of array
        What it is called with; the last one is its output.
    constants : collection of int
        Which of them are constants: the others are inputs.
    """
    tensors = [
        Tensor(shape=one.shape, dtype=str(one.dtype), value=one if i in constants else None)
        for i, one in enumerate(arrays)
    ]
    return Plan(
        calls=(Call(kernel=kernel, tensors=tuple(tensors)),),
        inputs=tuple(one for one in tensors[:-1] if one.value is None),
        outputs=(tensors[-1],),
    )


def description(plan: Plan, target: Target) -> Description:
    """Return what is known of a plan's program; inputs and outputs are called by their numbers."""

    def infos(tensors: Sequence[Tensor]) -> tuple[TensorInfo, ...]:
        named = enumerate(tensors)
        return tuple(TensorInfo(name=str(i), shape=t.shape, dtype=t.dtype) for i, t in named)

    return Description(
        version=version("tvm_sparse"),
        tvm_version=str(tvm.__version__),
        target=target.name,
        needs=target.needs,
        inputs=infos(plan.inputs),
        outputs=infos(plan.outputs),
        report="",
        triple=target.triple,
        cores=target.cores,
        kind="executable",
    )
