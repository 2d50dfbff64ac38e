"""What the networks of several families are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def image(size: int) -> Tensor:
    """Return one image, (1, 3, size, size)."""
    return torch.randn(1, 3, size, size)


def normalized(
    inner: int,
    outer: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = None,
) -> list[nn.Module]:
    """Return a convolution that keeps the size (but for its stride), batch norm, an activation."""
    conv = nn.Conv2d(inner, outer, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outer), *([] if activation is None else [activation()])]


class Excite(nn.Module):
    """Scale channels by what their means say (Hu et al., "Squeeze-and-Excitation", CVPR 2018).

    Parameters
    ----------
    channels, squeezed : int
    activation, gate : type
        Modules after the two layers.
    """

    def __init__(
        self, channels: int, squeezed: int, activation: type[nn.Module], gate: type[nn.Module]
    ) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation()
        self.up = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels."""
        means = nn.functional.adaptive_avg_pool2d(x, 1)
        scaled: Tensor = x * self.gate(self.up(self.activation(self.down(means))))
        return scaled


class InvertedResidual(nn.Module):
    """Expand, depthwise, excite, project (Sandler et al., "MobileNetV2", CVPR 2018).

    Parameters
    ----------
    inner, wide, outer : int
        Channels before, in and after the block; no expansion where `wide` equals `inner`.
    kernel, stride : int
        Of the depthwise convolution.
    activation : type
    excite : Excite, optional
        Between the depthwise convolution and the projection.
    """

    def __init__(
        self,
        inner: int,
        wide: int,
        outer: int,
        kernel: int,
        stride: int,
        activation: type[nn.Module],
        excite: Excite | None = None,
    ) -> None:
        super().__init__()
        layers = [] if wide == inner else normalized(inner, wide, 1, activation=activation)
        layers += normalized(wide, wide, kernel, stride, wide, activation)
        layers += [] if excite is None else [excite]
        layers += normalized(wide, outer, 1)
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inner == outer

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y
