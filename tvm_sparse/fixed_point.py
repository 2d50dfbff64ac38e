"""Sums of quantized tensors in 32-bit integers: scales become multipliers of fixed point.

Tensors of bytes ``q_i``, each with a scale and a zero point, are added up and stored as bytes of
another scale. As ``scale_i / scale' ≈ m_i / 2^shift`` (Jacob et al., "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018)::

    total = Σ m_i · q_i - Σ m_i · zero_i
    byte  = clip(zero' + round(total / 2^shift), low, high)

Rounding is to the nearest, ties to the even number, and no intermediate leaves 32 bits: every CPU
gets the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tvm_sparse.integer import Bytes

_MOST = 22  # bits behind the point: then 255 steps are wrong by less than 1 / 10000 of one
_WORD = 31


@dataclass(frozen=True, kw_only=True)
class FixedPoint:
    """How bytes are added up.

    Parameters
    ----------
    multipliers : tuple of int
        One a tensor.
    offset : int
        What the zero points contribute to the total.
    shift : int
        Bits behind the point, at least 1.
    zero : int
        The zero point of the result.
    low, high : int
        The lowest and the highest byte of the result.
    """

    multipliers: tuple[int, ...]
    offset: int
    shift: int
    zero: int
    low: int = 0
    high: int = 255

    @classmethod
    def of(
        cls,
        inputs: Sequence[Bytes],
        output: Bytes,
        low: float = -math.inf,
        high: float = math.inf,
    ) -> FixedPoint | None:
        """Return how to add tensors up; None if their scales are too far from the result's.

        Parameters
        ----------
        inputs : sequence of Bytes
        output : Bytes
        low, high : float
            Between which real values the sum is clipped.
        """
        ratios = [given.scale / output.scale for given in inputs]
        shift = min(math.floor(_WORD - math.log2(256 * sum(ratios) + 1)), _MOST)
        if shift < 1:
            return None
        multipliers = tuple(round(ratio * 2**shift) for ratio in ratios)
        offset = -sum(m * given.zero for m, given in zip(multipliers, inputs, strict=True))
        first, last = (nearest_byte(bound, output) for bound in (low, high))
        return cls(
            multipliers=multipliers,
            offset=offset,
            shift=shift,
            zero=output.zero,
            low=first,
            high=last,
        )

    @property
    def is_copy(self) -> bool:
        """Whether the result is the same as its only input."""
        same = self.multipliers == (1 << self.shift,) and self.zero << self.shift == -self.offset
        return same and (self.low, self.high) == (0, 255)


def nearest_byte(bound: float, given: Bytes) -> int:
    """Return the byte that is nearest to a real value."""
    return round(min(max(bound / given.scale + given.zero, 0.0), 255.0))
