"""The one ordered list of passes for GPUs, from an imported model to code generation."""

from __future__ import annotations

import tvm
from tvm import relax
from tvm.relax.backend import gpu_generic
from tvm.s_tir import dlight

from tvm_sparse.relay_passes import gpu_code_generation, gpu_scans, pipeline, scope
from tvm_sparse.relay_passes.fold_dynamic_quantization import FoldDynamicQuantization
from tvm_sparse.relay_passes.fold_quantization import FoldQuantization
from tvm_sparse.relay_passes.narrow_indices import NarrowIndices
from tvm_sparse.relay_passes.pack_for_gpu import PackForGpu
from tvm_sparse.relay_passes.remove_dead_channels import RemoveDeadChannels
from tvm_sparse.relay_passes.sink_transposes import SinkTransposes
from tvm_sparse.relay_passes.tighten_loops import TightenLoops
from tvm_sparse.schedules import gpu_rules
from tvm_sparse.targets import Target
from tvm_sparse.workgroup_choice import Decide

LOWERING = gpu_code_generation.NAME  # how scheduled kernels are lowered


def lower(
    target: Target, sparse: bool = True, decide: Decide | None = None, halves: bool = False
) -> list[tvm.transform.Pass]:
    """Replace every operator by a TIR function."""
    return [
        *([RemoveDeadChannels()] if sparse else []),
        *(pipeline.halve() if halves else []),
        FoldDynamicQuantization(target),
        FoldQuantization(target, sparse),
        PackForGpu(target, sparse, decide),
        SinkTransposes(),
        relax.transform.LegalizeOps(gpu_scans.LEGALIZE),
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.FoldConstant(),
    ]


def schedule() -> list[tvm.transform.Pass]:
    """Bind every function to threads: the first rule that knows it, and the last knows all."""
    return [dlight.ApplyDefaultSchedule(*gpu_rules()), TightenLoops(), NarrowIndices()]


def passes(
    target: Target, sparse: bool = True, decide: Decide | None = None, halves: bool = False
) -> list[tvm.transform.Pass]:
    """Return all passes in order; parameters as `pipeline_of`."""
    tvm_target = target.to_tvm()
    return [
        *pipeline.simplify(),
        *lower(target, sparse, decide, halves),
        *pipeline.fuse(),
        *schedule(),
        *gpu_generic.dataflow_lower_passes(tvm_target),
        *gpu_generic.finalize_passes(tvm_target),
    ]


def pipeline_of(
    target: Target | None = None,
    sparse: bool = True,
    decide: Decide | None = None,
    halves: bool = False,
) -> tvm.transform.Pass:
    """Return the whole pipeline as one pass.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.
    sparse : bool
        Whether to look for sparsity at all.
    decide : callable, optional
        How to compute each layer, see `PackForGpu`; by default as predicted.
    halves : bool
        Whether to compute in fp16, on devices that do; sums stay floats.
    """
    return scope.whole(
        "tvm_sparse_gpu", target, lambda profile: passes(profile, sparse, decide, halves)
    )
