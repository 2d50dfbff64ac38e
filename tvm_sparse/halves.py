"""Kernels in fp16: those in fp32, for a machine whose registers and caches hold twice as many.

Where a CPU multiplies and adds halves, a kernel of halves is a kernel of floats with other types:
the profile in units of halves (`Target.in_halves`) chooses it, and every type is exchanged::

    T.Buffer((249, 1), "float32")    →    T.Buffer((249, 1), "float16")

Sums are halves too, as in other engines' fp16 kernels: their error grows with the taps of a filter.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm

from tvm_sparse.choose import Choice
from tvm_sparse.errors import ModelError
from tvm_sparse.implement import Implementation
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target

DTYPE = "float16"


def unit(layer: Layer, target: Target) -> Target:
    """Return the profile that chooses kernels for a layer: in halves, or as it is."""
    return target.in_halves if layer.dtype == DTYPE else target


def noted(choice: Choice) -> Choice:
    """Return a choice whose schemes say that weights have 16 bits, if its layer's have."""
    if choice.layer.dtype != DTYPE:
        return choice
    found, used = (replace(scheme, bits=16) for scheme in (choice.found, choice.used))
    return replace(choice, found=found, used=used)


def typed(bound: Implementation, layer: Layer) -> Implementation:
    """Return an implementation in the type of its layer; indices stay as they are.

    Raises
    ------
    ModelError
        If a weight is too large for a half, whose limit is 65504.
    """
    return _halved(bound) if layer.dtype == DTYPE else bound


def _halved(bound: Implementation) -> Implementation:
    text = tvm.ir.save_json(bound.func).replace('"float32', f'"{DTYPE}')  # also of vectors
    constants = tuple(half(a) if a.dtype == np.float32 else a for a in bound.constants)
    return replace(bound, func=tvm.ir.load_json(text), constants=constants)


def half(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return numbers as halves.

    Raises
    ------
    ModelError
        If one is too large for a half, whose limit is 65504.
    """
    with np.errstate(over="ignore"):
        found = array.astype(DTYPE)
    if not np.isfinite(found).all():
        raise ModelError("a weight is too large for float16 (at most 65504): build in float32")
    return found
