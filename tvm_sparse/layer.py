"""What one convolution or linear layer computes, without its weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One convolution or linear layer on one input size.

    Two layers that compare equal cost the same, whatever they are called: `name` takes no part in
    the comparison, the hash or the `key`, so that equal layers share kernels and measurements.

    Parameters
    ----------
    op : {"conv2d", "linear"}
    weight : tuple of int
        (F, C / groups, Kh, Kw) for a convolution, (F, C) for a linear layer.
    input : tuple of int
        (batch, H, W) for a convolution; the leading sizes, e.g. (batch, tokens), for a linear one.
    stride, dilation : (int, int)
        Along height and width.
    padding : (int, int, int, int)
        Zeros added at the top, left, bottom and right.
    groups : int
    dtype : str
    name : str
        The layer's name in the user's model.
    """

    op: Literal["conv2d", "linear"]
    weight: tuple[int, ...]
    input: tuple[int, ...]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    dtype: str = "float32"
    name: str = field(default="", compare=False)

    @property
    def filters(self) -> int:
        """F, the number of output channels."""
        return self.weight[0]

    @property
    def channels(self) -> int:
        """C, the number of input channels over all groups."""
        return self.weight[1] * self.groups

    @property
    def kernel(self) -> tuple[int, int]:
        """(Kh, Kw); (1, 1) for a linear layer."""
        return (self.weight[2], self.weight[3]) if self.op == "conv2d" else (1, 1)

    @property
    def output(self) -> tuple[int, ...]:
        """(batch, Ho, Wo) of a convolution, the leading sizes of a linear layer."""
        if self.op == "linear":
            return self.input
        batch, height, width = self.input
        top, left, bottom, right = self.padding
        reach_h = (self.kernel[0] - 1) * self.dilation[0]
        reach_w = (self.kernel[1] - 1) * self.dilation[1]
        return (
            batch,
            (height + top + bottom - reach_h - 1) // self.stride[0] + 1,
            (width + left + right - reach_w - 1) // self.stride[1] + 1,
        )

    @property
    def taps(self) -> int:
        """Weights of one filter: C / groups · Kh · Kw (k of the equivalent matrix product)."""
        return math.prod(self.weight[1:])

    @property
    def positions(self) -> int:
        """Output positions over the batch (n of the equivalent matrix product)."""
        return math.prod(self.output)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense layer."""
        return self.filters * self.taps * self.positions

    @property
    def pointwise(self) -> bool:
        """Whether each output position reads exactly its own input position."""
        plain = self.kernel == (1, 1) and self.stride == (1, 1)
        return self.op == "linear" or (plain and not any(self.padding))

    @property
    def depthwise(self) -> bool:
        """Whether every group has a single input channel (and there are several groups)."""
        return self.op == "conv2d" and self.groups > 1 and self.weight[1] == 1

    @property
    def key(self) -> str:
        """A short name of everything that decides the layer's cost; equal layers share it."""
        sizes = "x".join(map(str, self.weight))
        at = "x".join(map(str, self.input))
        if self.op == "linear":
            return f"linear-{sizes}@{at}-{self.dtype}"
        stride, pad, dilation = (
            "x".join(map(str, v)) for v in (self.stride, self.padding, self.dilation)
        )
        return f"conv2d-{sizes}@{at}-s{stride}-p{pad}-d{dilation}-g{self.groups}-{self.dtype}"
