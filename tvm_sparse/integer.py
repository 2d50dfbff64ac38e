"""What an integer layer computes: sums of bytes, scaled back to bytes or to floats.

Quantized tensors are bytes ``q`` that stand for ``scale · (q - zero)``; weights are signed bytes
with one scale a filter and no zero point (Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018). A layer's sum over taps,
with a bias in units of ``input scale · weight scale``, is exact in 32 bits. One multiplication by a
float brings it to the output's scale; nothing else is rounded, so that every CPU gets the same
bytes::

    sum    = start[f] + Σ input byte · weight                 start = bias - zero · Σ weight
    sum   += round(residual's ratio[f] · (byte - its zero))   where a residual is added
    byte   = zero' + round(clip(float(sum) · factor[f], low - zero', high - zero'))

Rounding is to the nearest, ties to the even number. The last bits of factors are such that one
multiply-add gives the same, where there are such, see `tvm_sparse.one_rounding`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse import one_rounding
from tvm_sparse.dot import PLAIN, SIGN, Dot
from tvm_sparse.one_rounding import OneRounding

Array = npt.NDArray[Any]
MOST = 1 << 30  # what a bias or a residual may add to a sum
SMALL = 1 << 22  # below it, integers are exact as the lowest bits of a float
SHORT = (1 << 15) - 512  # the same for 16 bits, with a zero point added
MAGIC, MAGIC_BITS = 12582912.0, 0x4B400000  # 1.5 · 2²³, and its bits


@dataclass(frozen=True, kw_only=True)
class Bytes:
    """What the bytes of a quantized tensor stand for.

    Parameters
    ----------
    scale : float
        Of one step.
    zero : int
        The byte, 0 to 255, that stands for zero. Signed bytes are counted from -128: their zero
        point 0 is the byte 128.
    """

    scale: float
    zero: int


@dataclass(frozen=True, kw_only=True)
class Integers:
    """The numbers of an integer layer.

    Parameters
    ----------
    weight : int8 array of the layer's weight's shape
    scale : float array of shape (F,)
        Of each filter's weights.
    bias : float array of shape (F,)
    data : Bytes
        The input.
    output : Bytes, optional
        The output; floats without.
    residual : Bytes, optional
        What is added to the sums before they are scaled.
    low, high : float
        Between which real values the output is clipped.
    dot : Dot
        How words are multiplied; the bytes that come out are the same.
    by_addition : bool
        Whether floats and integers become each other by additions, where they are small; this
        takes a processor that rounds to the nearest.
    fma : bool
        Whether the processor has fused multiply-adds.
    """

    weight: Array
    scale: Array
    bias: Array
    data: Bytes
    output: Bytes | None = None
    residual: Bytes | None = None
    low: float = -np.inf
    high: float = np.inf
    dot: Dot = PLAIN
    by_addition: bool = False
    fma: bool = False

    @property
    def unit(self) -> Array:
        """What one step of a filter's sum stands for, shape (F,)."""
        unit: Array = self.scale.astype(np.float64) * self.data.scale
        return unit

    @property
    def start(self) -> npt.NDArray[np.int32]:
        """What the sum of each filter begins with, shape (F,)."""
        total = self.weight.reshape(len(self.weight), -1).astype(np.int64).sum(axis=1)
        zero = self.data.zero - SIGN * self.dot.signed
        first = self._bias() - zero * total + MAGIC_BITS * self.counted
        if self.fused:
            first = first + self._rounding.base - int(MAGIC)
        start: npt.NDArray[np.int32] = first.astype(np.int64).astype(np.int32)
        return start

    @property
    def factor(self) -> npt.NDArray[np.float32]:
        """What sums are multiplied by, shape (F,): to steps of the output, or to real values."""
        return self._factor(1.0) if self.output is None else self._rounding.factor

    @property
    def shift(self) -> npt.NDArray[np.float32]:
        """What products are added to if they are `fused`, shape (F,): integers."""
        assert self.output is not None
        zero = self.output.zero - SIGN * self.dot.signed
        shift: npt.NDArray[np.float32] = (MAGIC + zero - self._rounding.whole).astype(np.float32)
        return shift

    @property
    def ratio(self) -> npt.NDArray[np.float32]:
        """How many steps of a sum are one of the residual, shape (F,)."""
        assert self.residual is not None
        ratio: npt.NDArray[np.float32] = (self.residual.scale / self.unit).astype(np.float32)
        return ratio

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest byte of the output, counted from its zero point."""
        assert self.output is not None
        first, last = -self.output.zero, 255 - self.output.zero
        low, high = (_step(value, self.output.scale) for value in (self.low, self.high))
        return min(max(first, low), last), max(min(last, high), first)

    @property
    def reach(self) -> Array:
        """What the sums of each filter are no further away from 0, shape (F,)."""
        weight = self.weight.reshape(len(self.weight), -1).astype(np.int64)
        ends = np.multiply.outer(weight, (-self.data.zero, 255 - self.data.zero))
        low, high = ends.min(axis=-1).sum(axis=-1), ends.max(axis=-1).sum(axis=-1)
        reach: Array = np.maximum(-low, high) + np.abs(self._bias()) + 1
        return reach if self.residual is None else reach + 256 * self.ratio

    @property
    def counted(self) -> bool:
        """Whether sums are so small that they are counted from the bits of 1.5 · 2²³.

        Their bits are then those of floats, see `tvm_sparse.algorithms.rounding`.
        """
        return self.by_addition and bool(self.reach.max(initial=0) < SMALL)

    @property
    def fused(self) -> bool:
        """Whether one multiply-add brings sums to bytes, see `tvm_sparse.one_rounding`."""
        return self.fma and self.counted and self.output is not None and self._rounding.agrees

    @property
    def saturating(self) -> bool:
        """Whether outputs are clipped to signed bytes once they are integers.

        They must fit 16 bits before.
        """
        fits = bool((self.reach * self.factor).max(initial=0) < SHORT)
        return self.by_addition and self.dot.signed and fits

    def objection(self) -> str:
        """Return why sums do not fit 32 bits, or an empty string."""
        if np.abs(self._bias()).max(initial=0) >= MOST:
            return "a bias is too large for sums of 32 bits: its filter's weights are too small"
        if self.residual is not None and 256 * self.ratio.max(initial=0) >= MOST:
            return "a residual is too large for sums of 32 bits: a filter's weights are too small"
        return ""

    @cached_property
    def _rounding(self) -> OneRounding:
        assert self.output is not None
        return one_rounding.of(self._factor(self.output.scale), self.reach, *self.bounds)

    def _factor(self, step: float) -> npt.NDArray[np.float32]:
        """Return the factors that bring sums to steps of a size."""
        factor: npt.NDArray[np.float32] = (self.unit / step).astype(np.float32)
        return factor

    def _bias(self) -> Array:
        """Return the bias in units of the sums."""
        bias: Array = np.rint(self.bias / self.unit)
        return bias


def _step(value: float, scale: float) -> int:
    """Return the step that is nearest to a bound; 256 beyond all bytes where there is none."""
    return int(np.rint(np.clip(np.float64(value) / scale, -512, 512)))
