"""The kernel of an integer layer, and its row of the report, for CPUs and for GPUs."""

from __future__ import annotations

from collections.abc import Callable

from tvm_sparse import implement_integer, implement_workgroups, integer_choice, words
from tvm_sparse.implement import Implementation
from tvm_sparse.integer import Integers
from tvm_sparse.integer_choice import IntegerChoice
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes.quantized import Found
from tvm_sparse.report import LayerReport
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target

Decide = Callable[[Integers, Layer, Target, bool], IntegerChoice]
"""Takes a layer's numbers, the layer, the target, and whether zeros may be skipped."""


def objection(found: Found, target: Target) -> str:
    """Return why a layer must stay one of floats on a target, or an empty string."""
    if not target.is_gpu:
        return ""
    decision = implement_workgroups.decide_integers(found.layer, found.numbers)
    return "" if decision is not None else "its window is too large for a workgroup"


def kernel(
    found: Found, target: Target, sparse: bool, decide: Decide = integer_choice.choose
) -> tuple[Implementation, LayerReport]:
    """Return the implementation of an integer layer, and its row of the report.

    Parameters
    ----------
    found : Found
        To which there is no `objection`.
    target : Target
    sparse : bool
        Whether zeros may be skipped.
    decide : callable
        How to compute it on a CPU.
    """
    if target.is_gpu:
        return _for_gpu(found, target, sparse)
    return _for_cpu(found, target, sparse, decide)


def _for_cpu(
    found: Found, target: Target, sparse: bool, decide: Decide
) -> tuple[Implementation, LayerReport]:
    choice = decide(found.numbers, found.layer, target, sparse)
    bound = implement_integer.implement(choice, found.numbers)
    row = LayerReport.of(
        choice.layer,
        found.numbers.weight,
        found=str(choice.found),
        stored=str(choice.used),
        kernel=str(choice.kernel),
        reason=choice.reason,
        nbytes=bound.nbytes,
        dense_nbytes=4 * found.numbers.weight.size,
        seconds=choice.kernel.seconds,
        dense_seconds=choice.dense.seconds,
    )
    return bound, row


def _for_gpu(found: Found, target: Target, sparse: bool) -> tuple[Implementation, LayerReport]:
    decision = implement_workgroups.decide_integers(found.layer, found.numbers, sparse)
    assert decision is not None  # there is no objection
    bound = implement_workgroups.integers(found.layer, decision, found.numbers)
    pattern = integer_choice.pattern(found.layer, found.numbers.weight)
    used = Scheme(format="dense", bits=integer_choice.BITS)
    if decision.skips:
        shape = (decision.tile.filters, words.BYTES)
        used = Scheme(
            format="block_punched", block=shape, density=pattern.density, bits=integer_choice.BITS
        )
    row = LayerReport.of(
        found.layer,
        found.numbers.weight,
        found=str(pattern),
        stored=str(used),
        kernel=str(decision.tile),
        reason=decision.reason(found.numbers.weight),
        nbytes=bound.nbytes,
        dense_nbytes=4 * found.numbers.weight.size,
        seconds=0.0,
        dense_seconds=0.0,
    )
    return bound, row
