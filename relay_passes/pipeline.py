"""The one ordered list of passes, from an imported model to a module ready for code generation."""

from __future__ import annotations

import tvm
from tvm import relax

from tvm_sparse import integer_choice, nibble_choice
from tvm_sparse.relay_passes import (
    fold_dynamic_quantization,
    integer_kernels,
    lower_extremes,
    pack_nibbles,
    scope,
)
from tvm_sparse.relay_passes.expand_activations import ExpandActivations, SpellActivations
from tvm_sparse.relay_passes.fold_batch_norm import FoldBatchNorm
from tvm_sparse.relay_passes.fold_constants import FoldConstants
from tvm_sparse.relay_passes.fold_dynamic_quantization import FoldDynamicQuantization
from tvm_sparse.relay_passes.fold_quantization import FoldQuantization
from tvm_sparse.relay_passes.fuse_attention import FuseAttention
from tvm_sparse.relay_passes.fuse_pooling import FusePooling
from tvm_sparse.relay_passes.join_sums import JoinSums
from tvm_sparse.relay_passes.limit_fusion import LimitFusion
from tvm_sparse.relay_passes.lower_dense import LowerDense
from tvm_sparse.relay_passes.lower_norms import LowerNorms
from tvm_sparse.relay_passes.lower_transposes import LowerTransposes
from tvm_sparse.relay_passes.pack_nibbles import PackNibbles
from tvm_sparse.relay_passes.pack_pairs import PackPairs
from tvm_sparse.relay_passes.pack_sparse import Decide, PackSparse
from tvm_sparse.relay_passes.remove_dead_channels import RemoveDeadChannels
from tvm_sparse.relay_passes.schedule import ScheduleFunctions
from tvm_sparse.relay_passes.sink_transposes import SinkTransposes
from tvm_sparse.relay_passes.spell_clips import SpellClips
from tvm_sparse.relay_passes.tidy_views import TidyViews
from tvm_sparse.relay_passes.widen_signals import WidenSignals
from tvm_sparse.targets import Target


def simplify() -> list[tvm.transform.Pass]:
    """Leave nothing between layers and their weights but constants."""
    tidy = [relax.transform.CanonicalizeBindings(), relax.transform.DeadCodeElimination()]
    return [*tidy, FoldConstants(), TidyViews(), WidenSignals(), FoldBatchNorm(), *tidy]


def halve() -> list[tvm.transform.Pass]:
    """Compute layers and what follows them in fp16; sums over many values, and exp, stay in fp32.

    ::

        y = R.nn.conv2d(x, w)    →    y = R.nn.conv2d(R.astype(x, "float16"), half of w)
    """
    mixed = relax.transform.ToMixedPrecision(out_dtype="float16")
    return [SpellActivations(), SpellClips(), mixed, FoldConstants()]


def lower(
    target: Target,
    sparse: bool = True,
    decide: Decide | None = None,
    halves: bool = False,
    decide_integers: integer_kernels.Decide = integer_choice.choose,
    decide_nibbles: pack_nibbles.Decide = nibble_choice.choose,
) -> list[tvm.transform.Pass]:
    """Replace layers by our algorithms, everything else by TVM's."""
    return [
        *([RemoveDeadChannels()] if sparse else []),
        *(halve() if halves else []),
        JoinSums(target, sparse),
        FuseAttention(target),
        FoldDynamicQuantization(target),
        FoldQuantization(target, sparse, decide_integers),
        PackNibbles(target, sparse, decide_nibbles),
        PackPairs(target, sparse),
        PackSparse(target, sparse, decide),
        FusePooling(target),
        LowerDense(target),
        SinkTransposes(),
        LowerTransposes(target),
        LowerNorms(target),
        ExpandActivations(),
        *relax.backend.cpu_generic.pipeline.library_dispatch_passes(None),
        relax.transform.LegalizeOps(
            {**fold_dynamic_quantization.LEGALIZE, **lower_extremes.LEGALIZE}
        ),
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.FoldConstant(),
    ]


def fuse() -> list[tvm.transform.Pass]:
    """Fuse element-wise epilogues into the kernels before them; reshapes that are left are views.

    TVM would look for such reshapes at the end, but does not know them any more once scheduled.
    """
    return [
        LimitFusion(),
        relax.transform.FuseOps(),
        relax.transform.FuseTIR(),
        relax.transform.RewriteDataflowReshape(),
        relax.transform.DeadCodeElimination(),
    ]


def finish() -> list[tvm.transform.Pass]:
    """Plan memory and lower to the Relax virtual machine, as TVM's own CPU pipeline does."""
    llvm = relax.backend.cpu_generic.pipeline
    return [*llvm.dataflow_lower_passes(None), *llvm.finalize_passes(None)]


def passes(
    target: Target,
    sparse: bool = True,
    decide: Decide | None = None,
    halves: bool = False,
    decide_integers: integer_kernels.Decide = integer_choice.choose,
    decide_nibbles: pack_nibbles.Decide = nibble_choice.choose,
) -> list[tvm.transform.Pass]:
    """Return all passes in order; parameters as `pipeline`."""
    return [
        *simplify(),
        *lower(target, sparse, decide, halves, decide_integers, decide_nibbles),
        *fuse(),
        ScheduleFunctions(target),
        *finish(),
    ]


def pipeline(
    target: Target | None = None,
    sparse: bool = True,
    decide: Decide | None = None,
    halves: bool = False,
    decide_integers: integer_kernels.Decide = integer_choice.choose,
    decide_nibbles: pack_nibbles.Decide = nibble_choice.choose,
) -> tvm.transform.Pass:
    """Return the whole pipeline as one pass, for ``relax.get_pipeline("tvm_sparse")``.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target when missing.
    sparse : bool
        Whether to look for sparsity at all.
    decide : callable, optional
        How to compute each layer, see `PackSparse`; by default the cost formula's choice.
    halves : bool
        Whether to compute in fp16, on targets that multiply and add halves.
    decide_integers : callable
        How to compute each layer of bytes, see `FoldQuantization`.
    decide_nibbles : callable
        How to compute each layer of codes of four bits, see `PackNibbles`.
    """

    def of(profile: Target) -> list[tvm.transform.Pass]:
        return passes(profile, sparse, decide, halves, decide_integers, decide_nibbles)

    return scope.whole("tvm_sparse", target, of)
