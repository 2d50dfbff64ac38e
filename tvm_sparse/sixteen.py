"""Weights of sixteen bits: halves, or the upper half of a float (bfloat16).

A bfloat16 has a float's range and 8 bits of precision, so that reading one is a shift; a float16
has 11 bits, and 65504 for its largest number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse.errors import ModelError

BITS = 16
LARGEST = 65504


def rounded(weight: npt.NDArray[Any], name: str) -> npt.NDArray[np.float32]:
    """Return the nearest weights that sixteen bits can say, as float32.

    Raises
    ------
    ModelError
        If a weight is too large for float16.
    """
    found = stored(weight, name)
    if name == "float16":
        return found.astype(np.float32)
    return (found.astype(np.uint32) << 16).view(np.float32)


def stored(weight: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return weights in sixteen bits: float16, or uint16 that holds bfloat16.

    Raises
    ------
    ModelError
        If a weight is too large for float16.
    """
    if name == "float16":
        if np.abs(weight).max(initial=0) > LARGEST:
            raise ModelError(
                f"a weight is too large for float16 (at most {LARGEST}): take bfloat16"
            )
        return weight.astype(np.float16)
    bits = np.ascontiguousarray(weight, np.float32).view(np.uint32)
    upper: npt.NDArray[np.uint16] = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return upper
