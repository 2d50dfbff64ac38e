"""Layers whose weights alone have 16 or 4 bits, to measure them and to predict their times."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import tvm

from tvm_sparse import (
    integer_choice,
    nibble_choice,
    nibbles,
    precision_cost,
    short_weights,
    sixteen,
)
from tvm_sparse.choose import Choice
from tvm_sparse.errors import FormatError, TargetError
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.layer import Layer
from tvm_sparse.nibble_choice import NibbleChoice
from tvm_sparse.precision import GROUP, Precision
from tvm_sparse.relay_passes import record
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.workgroup_choice import chooser

KNOWN = (32, sixteen.BITS, integer_choice.BITS, nibbles.BITS)
"""Bits that layers can have, the most first."""


def check(bits: Collection[int], target: Target) -> None:
    """Raise where bits are none that layers can have, or that kernels for the target cannot.

    Raises
    ------
    FormatError
        If a number of bits is unknown, or there is none.
    TargetError
        If there are 16 or 4 for a GPU, where such weights are stored as floats.
    """
    if not bits or any(one not in KNOWN for one in bits):
        expected = ", ".join(map(str, KNOWN))
        raise FormatError(f"expected some of {expected} as bits of layers, got {tuple(bits)}")
    if target.is_gpu and any(one in short_weights.BITS for one in bits):
        raise TargetError(
            f"weights of 16 and 4 bits are for CPUs, {target.name} is a GPU: leave them out of bits"
        )


def noted(mod: tvm.IRModule, schemes: Mapping[str, Scheme]) -> tvm.IRModule:
    """Return a module whose layers are stored in 16 or 4 bits where their schemes say so.

    The weights are rounded already, see `tvm_sparse.profiling.prune_constants`.
    """
    short = {name: one for name, one in schemes.items() if one.bits in short_weights.BITS}
    named = {name: Precision.parse(one) for name, one in short.items()}
    return record.with_precisions(mod, named) if named else mod


def choose(layer: Layer, weight: Weight, bits: int, target: Target) -> Choice | NibbleChoice:
    """Decide how to compute a layer whose weight is rounded to 16 or 4 bits."""
    if bits == sixteen.BITS:
        return in_sixteen(chooser(target)(layer, weight, target), weight, target)
    codes = nibbles.find_integers(weight, GROUP)
    assert codes is not None  # or the weight was not rounded
    return nibble_choice.choose(layer, codes, target)


def in_sixteen(choice: Choice, weight: Weight, target: Target) -> Choice:
    """Return the choice for floats as that for weights of sixteen bits, with its time."""
    stored = int(np.count_nonzero(weight)) if choice.is_sparse else weight.size
    seconds = precision_cost.sixteen_seconds(choice.kernel.seconds, 4 * stored, target)
    found, used = (replace(one, bits=sixteen.BITS) for one in (choice.found, choice.used))
    kernel = replace(choice.kernel, seconds=seconds)
    return replace(choice, found=found, used=used, kernel=kernel)
