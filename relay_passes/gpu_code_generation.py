"""From scheduled TIR to kernels of GPUs: TVM's own lowering, with reductions of ours before it."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import s_tir, tirx
from tvm.s_tir import transform as lowering

from tvm_sparse.relay_passes.reduce_in_subgroups import ReduceInSubgroups

NAME = "tvm_sparse_gpu"


def pipeline() -> tuple[Any, Any, Any]:
    """Return the three stages of a TIR pipeline: lowering, host code, device code."""
    lower, host, device = s_tir.pipeline.default_s_tir_pipeline()
    across = [lowering.CanonicalizeLoop(), lowering.LowerCrossThreadReduction()]
    return tvm.transform.Sequential([*across, ReduceInSubgroups(), lower]), host, device


tirx.register_tir_pipeline(NAME, pipeline)
