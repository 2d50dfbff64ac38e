"""Weights of four bits: codes, eight to a word, that stand for sixteen numbers times a scale.

A code says which of sixteen numbers a weight is; a group of neighbouring input channels of a filter
has one scale, and perhaps a zero point. Codes are never turned into floats in memory: kernels shift
them out of their words and look them up in a register (`tvm_sparse.algorithms.nibbles`)::

    weight[f, c] = (TABLES[code][codes[f, c]] - zero[f, c // group]) * scale[f, c // group]

``int4``
    Two's complement, -8 to 7: integers as in weight-only quantization of language models (Frantar
    et al., "GPTQ", arXiv 2210.17323). Ours are around zero, from -7; other tools use all sixteen,
    and zero points.
``power_of_two``
    A sign and three bits of exponent: zero, and ±1 down to ±1/64 (Zhao et al., "SmartExchange",
    ISCA 2020).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tvm_sparse import nibble_scales
from tvm_sparse.nibble_scales import EXACT

Array = npt.NDArray[Any]
Weight = npt.NDArray[np.floating]
Code = Literal["int4", "power_of_two"]

BITS = 4
PER_WORD = 8  # codes of a filter in 32 bits, the first in the lowest
MOST = 7  # the largest integer of a code, and its largest exponent
_SHRUNK = np.linspace(0.7, 1.0, 13)  # shares of the largest weight that a scale may cover

_INTEGERS = [float(code if code < 8 else code - 16) for code in range(16)]
_POWERS = [0.0, *(2.0 ** (code - MOST) for code in range(1, 8))]
TABLES: dict[Code, Weight] = {
    "int4": np.array(_INTEGERS, np.float32),
    "power_of_two": np.array(_POWERS + [-value for value in _POWERS], np.float32),
}


@dataclass(frozen=True, kw_only=True)
class Nibbles:
    """The weight of a linear layer in codes.

    Parameters
    ----------
    codes : uint8 array of shape (F, C)
        From 0 to 15; 0 stands for zero, if there are no zero points.
    scale : float32 array of shape (F, groups)
    group : int
        Input channels that share a scale, a multiple of 8; the last group may have fewer.
    code : {"int4", "power_of_two"}
    zero : int8 array of shape (F, groups), optional
        The integer, -8 to 7, that stands for zero; of ``int4`` alone.
    """

    codes: npt.NDArray[np.uint8]
    scale: npt.NDArray[np.float32]
    group: int
    code: Code
    zero: npt.NDArray[np.int8] | None = None

    @property
    def zeros(self) -> npt.NDArray[np.uint8]:
        """The code that stands for zero, of each filter and group, shape (F, groups)."""
        zero = np.zeros(self.scale.shape, np.int8) if self.zero is None else self.zero
        codes: npt.NDArray[np.uint8] = (zero & 15).astype(np.uint8)
        return codes

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """Which weights are not zero, shape (F, C)."""
        kept: npt.NDArray[np.bool_] = self.codes != self._by_channel(self.zeros)
        return kept

    @property
    def steps(self) -> npt.NDArray[np.float32]:
        """What kernels multiply and add: scales, and what zero points take away from a channel.

        Of shape (F, groups), or (F, 2 groups): each group's scale, then minus zero times scale.
        """
        if self.zero is None:
            return self.scale
        both = np.stack([self.scale, -self.zero * self.scale], axis=2)
        return both.reshape(len(both), -1).astype(np.float32)

    def dense(self) -> Weight:
        """Return the weight that the codes stand for, float32 of shape (F, C)."""
        numbers = TABLES[self.code][self.codes]
        if self.zero is not None:
            numbers = numbers - self._by_channel(self.zero)
        weight: Weight = numbers * self._by_channel(self.scale)
        return weight

    def filled(self) -> npt.NDArray[np.uint8]:
        """Return the codes, with zeros up to the last word's end."""
        fill = -self.codes.shape[1] % PER_WORD
        last = np.repeat(self.zeros[:, -1:], fill, axis=1)
        return np.concatenate([self.codes, last], axis=1)

    def _by_channel(self, each: Array) -> Array:
        return np.repeat(each, self.group, axis=1)[:, : self.codes.shape[1]]


def integers(weight: Weight, group: int) -> Nibbles:
    """Return the int4 codes that come nearest to a weight of shape (F, C).

    Each group's scale is the one, of those that cover 0.7 to all of its largest weight, with the
    least squared error. What lies beyond becomes ±7.
    """
    group = whole(group, weight.shape[1])
    grouped = _grouped(weight, group)
    largest = np.abs(grouped).max(axis=2, keepdims=True)
    tried = [_steps(grouped, _scale(largest * share)) for share in _SHRUNK]
    errors = [((steps * scale - grouped) ** 2).sum(axis=2) for steps, scale in tried]
    best = np.argmin(errors, axis=0)[None, :, :, None]
    steps = np.take_along_axis(np.stack([steps for steps, _ in tried]), best, 0)[0]
    scale = np.take_along_axis(np.stack([scale for _, scale in tried]), best, 0)[0]
    return _integers(weight, steps, scale, group)


def find_integers(weight: Weight, group: int) -> Nibbles | None:
    """Return the int4 codes of a weight whose groups are integers times a scale, or None.

    Where integers are not all from -8 to 7, groups get zero points, see
    `tvm_sparse.nibble_scales`.
    """
    group = whole(group, weight.shape[1])
    grouped = _grouped(weight, group)
    found = nibble_scales.find(grouped.reshape(-1, group))
    if found is None:
        return None
    sizes, zero = grouped.shape[:2], found.zero
    codes = _integers(weight, found.numbers + zero[:, None], found.scale.reshape(*sizes, 1), group)
    return replace(codes, zero=zero.reshape(sizes)) if zero.any() else codes


def find_powers(weight: Weight) -> Nibbles | None:
    """Return the codes of a weight of zeros and powers of two, or None for any other.

    Each filter has one scale, a power of two as well, and powers within a factor of 64.
    """
    largest = np.abs(weight).max(axis=1, keepdims=True)
    scale = np.where(largest > 0, largest, 1).astype(np.float32)
    power = MOST + np.rint(np.log2(np.abs(np.where(weight == 0, scale, weight)) / scale))
    codes = np.where(weight == 0, 0, power.clip(1, MOST) + 8 * (weight < 0)).astype(np.uint8)
    group = whole(weight.shape[1], weight.shape[1])
    found = Nibbles(codes=codes, scale=scale, group=group, code="power_of_two")
    return found if _is_exact(found, weight) else None


def whole(group: int, channels: int) -> int:
    """Return a group that is whole words, and no more of them than there are."""
    return min(-(-group // PER_WORD), -(-channels // PER_WORD)) * PER_WORD


def words(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Return (…, n) codes as (…, ceil(n / 8)) words."""
    fill = [(0, 0)] * (codes.ndim - 1) + [(0, -codes.shape[-1] % PER_WORD)]
    padded = np.pad(codes, fill).astype(np.uint32)
    places = np.arange(PER_WORD, dtype=np.uint32) * BITS
    shifted = padded.reshape(*codes.shape[:-1], -1, PER_WORD) << places
    joined: npt.NDArray[np.uint32] = np.bitwise_or.reduce(shifted, axis=-1)
    return joined.view(np.int32)


def _grouped(weight: Weight, group: int) -> Array:
    """Return a (F, C) weight as (F, groups, group), filled up with zeros."""
    padded = np.pad(weight.astype(np.float64), ((0, 0), (0, -weight.shape[1] % group)))
    return padded.reshape(len(weight), -1, group)


def _scale(largest: Array) -> npt.NDArray[np.float32]:
    scale: npt.NDArray[np.float32] = np.where(largest > 0, largest / MOST, 1).astype(np.float32)
    return scale


def _steps(grouped: Array, scale: Array) -> tuple[Array, Array]:
    return np.rint(grouped / scale).clip(-MOST, MOST).astype(np.int8), scale


def _integers(weight: Weight, steps: Array, scale: Array, group: int) -> Nibbles:
    flat = steps.reshape(len(weight), -1)[:, : weight.shape[1]]
    codes = (flat & 15).astype(np.uint8)
    return Nibbles(codes=codes, scale=scale[:, :, 0], group=group, code="int4")


def _is_exact(found: Nibbles, weight: Weight) -> bool:
    error = _grouped(found.dense() - weight, found.group)
    largest = np.abs(_grouped(weight, found.group)).max(axis=2, keepdims=True)
    return bool((np.abs(error) <= EXACT * largest).all())
