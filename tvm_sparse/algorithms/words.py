"""Floats and bytes into words of four channels, and back, element by element.

Channels are the axis 1 of images and the axis 0 of matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import te, tirx

from tvm_sparse.dot import SIGN, Dot
from tvm_sparse.integer import Bytes
from tvm_sparse.words import BYTES


def quantized(x: te.Tensor, given: Bytes, dot: Dot) -> te.Tensor:
    """Return floats as words: the nearest byte of each, the even one of two."""

    def byte(*index: Any) -> Any:
        scaled = x(*index) * tirx.const(1.0 / given.scale, "float32")
        low, high = -given.zero, 255 - given.zero
        inside = te.max(te.min(scaled, float(high)), float(low))
        return tirx.nearbyint(inside).astype("int32") + given.zero

    return _joined(x, byte, "quantize", dot)


def packed(q: te.Tensor, dot: Dot) -> te.Tensor:
    """Return bytes as words."""
    shift = SIGN if str(q.dtype) == "int8" else 0
    return _joined(q, lambda *index: q(*index).astype("int32") + shift, "pack", dot)


def real(words: te.Tensor, channels: int, given: Bytes, dot: Dot) -> te.Tensor:
    """Return the floats that words stand for."""

    def value(steps: Any) -> Any:
        return (steps - given.zero).astype("float32") * tirx.const(given.scale, "float32")

    return _taken(words, channels, value, "dequantize", dot)


def unpacked(words: te.Tensor, channels: int, dtype: str, dot: Dot) -> te.Tensor:
    """Return words as bytes."""
    shift = SIGN if dtype == "int8" else 0
    return _taken(words, channels, lambda steps: (steps - shift).astype(dtype), "unpack", dot)


def _joined(x: te.Tensor, byte: Callable[..., Any], name: str, dot: Dot) -> te.Tensor:
    """Return words of what `byte` computes at an index of `x`; 0 where there is no channel."""
    axis = _axis(x)
    channels = int(x.shape[axis])
    shape = [*x.shape]
    shape[axis] = -(-channels // BYTES)

    def word(*index: Any) -> Any:
        joined = None
        for j in range(BYTES):
            channel = index[axis] * BYTES + j
            one = byte(*index[:axis], channel, *index[axis + 1 :])
            if channels % BYTES > 0 and j >= channels % BYTES:
                one = tirx.if_then_else(channel < channels, one, 0)
            one = tirx.shift_left(one, tirx.const(8 * j, "int32"))
            joined = one if joined is None else tirx.bitwise_or(joined, one)
        return flipped(joined, dot)

    return te.compute(shape, word, name=name)


def _taken(
    words: te.Tensor, channels: int, value: Callable[[Any], Any], name: str, dot: Dot
) -> te.Tensor:
    """Return what `value` makes of the byte of each channel, as an int32."""
    axis = _axis(words)
    shape = [*words.shape]
    shape[axis] = channels

    def one(*index: Any) -> Any:
        channel = index[axis]
        word = flipped(words(*index[:axis], channel // BYTES, *index[axis + 1 :]), dot)
        place = (channel % BYTES * 8).astype("int32")
        return value(tirx.bitwise_and(tirx.shift_right(word, place), tirx.const(255, "int32")))

    return te.compute(shape, one, name=name)


def flipped(word: Any, dot: Dot) -> Any:
    """Return a word of signed bytes as one of bytes 0 to 255, and the other way round."""
    return tirx.bitwise_xor(word, tirx.const(dot.flip, "int32")) if dot.signed else word


def _axis(x: te.Tensor) -> int:
    return 0 if len(x.shape) == 2 else 1
