"""Bytes whose scale and zero point are computed while the model runs."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

_RANGES = {"uint8": (0, 255), "int8": (-128, 127)}


def quantized(x: te.Tensor, scale: te.Tensor, zero: te.Tensor) -> te.Tensor:
    """Return floats as bytes of the zero point's type: the nearest, the even one of two."""
    low, high = _RANGES[str(zero.dtype)]

    def byte(*index: Any) -> Any:
        steps = tirx.nearbyint(x(*index) / _number(scale)).astype("int32")
        steps = steps + _number(zero).astype("int32")
        return te.max(te.min(steps, high), low).astype(zero.dtype)

    return te.compute(x.shape, byte, name="quantize")


def padded(q: te.Tensor, zero: te.Tensor, padding: tuple[int, int, int, int]) -> te.Tensor:
    """Return images (N, C, H, W) of bytes in zero points: top, left, bottom and right of them."""
    batch, channels, height, width = q.shape
    top, left, bottom, right = padding

    def byte(b: Any, c: Any, y: Any, x: Any) -> Any:
        inside = tirx.all(y >= top, y < height + top, x >= left, x < width + left)
        return tirx.if_then_else(inside, q(b, c, y - top, x - left), _number(zero))

    shape = (batch, channels, height + top + bottom, width + left + right)
    return te.compute(shape, byte, name="pad")


def _number(tensor: te.Tensor) -> Any:
    """Return the only element of a tensor."""
    return tensor(*[0] * len(tensor.shape))
