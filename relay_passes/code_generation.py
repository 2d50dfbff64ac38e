"""From scheduled TIR to LLVM: TVM's own lowering, with passes of ours around it.

`tvm_sparse.build` uses it. A module that was lowered by ``relax.get_pipeline("tvm_sparse")`` also
compiles without it, to slower code::

    tvm.compile(mod, target, relax_pipeline=None, tir_pipeline="tvm_sparse")
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import s_tir, tirx
from tvm.s_tir import transform as lowering

from tvm_sparse.relay_passes.hoist_loads import HoistLoads
from tvm_sparse.relay_passes.keep_registers import KeepRegisters
from tvm_sparse.relay_passes.lower_amx import LowerAmx
from tvm_sparse.relay_passes.lower_pairs import LowerPairs
from tvm_sparse.relay_passes.lower_words import LowerWords
from tvm_sparse.relay_passes.multiply_matrices import MultiplyMatrices
from tvm_sparse.relay_passes.permute_windows import PermuteWindows
from tvm_sparse.relay_passes.prefetch_weights import PrefetchWeights
from tvm_sparse.relay_passes.share_chunks import ShareChunks

NAME = "tvm_sparse"


def pipeline() -> tuple[Any, Any, Any]:
    """Return the three stages of a TIR pipeline: lowering, host code, device code."""
    lower, host, device = s_tir.pipeline.default_s_tir_pipeline()
    return (
        tvm.transform.Sequential([PrefetchWeights(), *_simplify(), ShareChunks(), lower]),
        lambda: tvm.transform.Sequential(
            [
                PermuteWindows(),
                MultiplyMatrices(),
                LowerAmx(),
                LowerWords(),
                LowerPairs(),
                HoistLoads(),
                KeepRegisters(),
                host(),
            ]
        ),
        device,
    )


def _simplify() -> list[tvm.transform.Pass]:
    """Simplify indices before TVM's own lowering makes buffers as small as they show.

    A store that walks along an image reads sums at ``p // 56 * 56 + p % 56``; unless that is known
    to be p, a register tile's sums seem to be as many as the whole image's.
    """
    return [
        lowering.CanonicalizeLoop(),
        lowering.LowerInitBlock(),
        lowering.PlanAndUpdateBufferAllocationLocation(),
        lowering.ConvertBlocksToOpaque(),
        tirx.transform.StmtSimplify(),
    ]


tirx.register_tir_pipeline(NAME, pipeline)
