"""Sums of words of four bytes, byte by byte, see `tvm_sparse.fixed_point`."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

from tvm_sparse.algorithms.words import flipped
from tvm_sparse.dot import Dot
from tvm_sparse.fixed_point import FixedPoint
from tvm_sparse.words import BYTES


def summed(*tensors: te.Tensor, given: FixedPoint, dot: Dot) -> te.Tensor:
    """Return the sum of tensors of words, of one shape, as words."""

    def word(*index: Any) -> Any:
        read = [flipped(tensor(*index), dot) for tensor in tensors]
        joined = None
        for j in range(BYTES):
            one = _byte([_taken(each, j) for each in read], given)
            one = tirx.shift_left(one, _number(8 * j)) if j else one
            joined = one if joined is None else tirx.bitwise_or(joined, one)
        return flipped(joined, dot)

    return te.compute(tensors[0].shape, word, name="sum")


def _byte(steps: list[Any], given: FixedPoint) -> Any:
    """Return a byte of the sum: the nearest, the even one of two."""
    total = _number(given.offset)
    for step, multiplier in zip(steps, given.multipliers, strict=True):
        total = total + step * _number(multiplier)
    odd = tirx.bitwise_and(tirx.shift_right(total, _number(given.shift)), _number(1))
    half = _number((1 << given.shift - 1) - 1)
    rounded = tirx.shift_right(total + half + odd, _number(given.shift)) + _number(given.zero)
    return te.max(te.min(rounded, _number(given.high)), _number(given.low))


def _taken(word: Any, j: int) -> Any:
    return tirx.bitwise_and(tirx.shift_right(word, _number(8 * j)), _number(255))


def _number(value: int) -> Any:
    return tirx.const(value, "int32")
