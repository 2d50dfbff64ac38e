"""Residual networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tvm_sparse.bench.networks.layers import image


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al., CVPR 2016)."""

    def __init__(self, inner: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inner, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block."""
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions and a shortcut (He et al., CVPR 2016; stride in the 3×3)."""

    groups = 1
    widening = 1

    def __init__(self, inner: int, width: int, stride: int) -> None:
        super().__init__()
        wide = width * self.widening
        self.conv1 = nn.Conv2d(inner, wide, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, stride, 1, groups=self.groups, bias=False)
        self.bn2 = nn.BatchNorm2d(wide)
        self.conv3 = nn.Conv2d(wide, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(inner, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block."""
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class Grouped(Bottleneck):
    """A bottleneck whose 3×3 has 32 groups (Xie et al., "ResNeXt", CVPR 2017)."""

    groups = 32
    widening = 2


def _shortcut(inner: int, outer: int, stride: int) -> nn.Module:
    if inner == outer and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))


class ResNet(nn.Module):
    """A residual network for images.

    Parameters
    ----------
    block : type
        `BasicBlock`, `Bottleneck` or `Grouped`.
    depths : tuple of int
        Blocks of each stage; stages double the width and, after the first, halve the image.
    classes : int
    width : int
        Width of the first stage.
    small : bool
        Whether the image is small: a 3×3 stem without pooling.
    channels : int
        Channels of the image.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, ...],
        classes: int,
        width: int = 64,
        small: bool = False,
        channels: int = 3,
    ) -> None:
        super().__init__()
        stem = (3, 1, 1) if small else (7, 2, 3)
        self.conv1 = nn.Conv2d(channels, width, *stem, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.pool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        expansion = 4 if issubclass(block, Bottleneck) else 1
        inner, stages = width, []
        for stage, depth in enumerate(depths):
            for number in range(depth):
                stride = 2 if stage and not number else 1
                stages.append(block(inner, width << stage, stride))
                inner = (width << stage) * expansion
        self.blocks = nn.Sequential(*stages)
        self.fc = nn.Linear(inner, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        x = self.blocks(self.pool(torch.relu(self.bn1(self.conv1(x)))))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def resnet18(size: int, classes: int) -> tuple[nn.Module, Tensor]:
    """Return ResNet-18 (He et al., CVPR 2016)."""
    return ResNet(BasicBlock, (2, 2, 2, 2), classes), image(size)


def resnet50(size: int, classes: int) -> tuple[nn.Module, Tensor]:
    """Return ResNet-50 (He et al., CVPR 2016)."""
    return ResNet(Bottleneck, (3, 4, 6, 3), classes), image(size)


def resnext50(size: int, classes: int) -> tuple[nn.Module, Tensor]:
    """Return ResNeXt-50 32×4d (Xie et al., CVPR 2017)."""
    return ResNet(Grouped, (3, 4, 6, 3), classes), image(size)


NETWORKS = {"resnet18": resnet18, "resnet50": resnet50, "resnext50": resnext50}
