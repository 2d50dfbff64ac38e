"""The networks that are measured: plain torch, seeded weights, no downloads.

Convolutions are He-initialized and batch-norm statistics are those of a calibration image, so that
activations stay of order one in every layer, as in a trained network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tvm_sparse.errors import FormatError


def names() -> tuple[str, ...]:
    """Return the names of the networks, sorted."""
    return tuple(sorted(_NETWORKS))


def network(name: str, size: int = 224, classes: int = 1000) -> tuple[nn.Module, Tensor]:
    """Return a network in inference mode, and an input for it.

    Parameters
    ----------
    name : str
        One of `names`.
    size : int
        Height and width of the image.
    classes : int

    Raises
    ------
    FormatError
        If there is no network of that name.
    """
    if name not in _NETWORKS:
        raise FormatError(f"unknown network {name!r}; expected one of {', '.join(names())}")
    with _seeded():
        model = _NETWORKS[name](classes)
        image = torch.randn(1, 3, size, size)
        _settle(model, image)
    return model.eval(), image


@contextmanager
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _settle(model: nn.Module, image: Tensor) -> None:
    """Initialize the weights, and set batch-norm statistics to those of an image."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.05)
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    model.train()
    with torch.no_grad():
        model(torch.cat([image, image.flip(3)]))


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

    def __init__(self, inner: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(inner, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block."""
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def _shortcut(inner: int, outer: int, stride: int) -> nn.Module:
    if inner == outer and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))


class ResNet(nn.Module):
    """A residual network for images.

    Parameters
    ----------
    block : type
        `BasicBlock` or `Bottleneck`.
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
        expansion = 4 if block is Bottleneck else 1
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


class InvertedResidual(nn.Module):
    """Expand, depthwise, project (Sandler et al., "MobileNetV2", CVPR 2018)."""

    def __init__(self, inner: int, outer: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inner * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [nn.Conv2d(inner, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()]
        layers += [
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
        ]
        layers += [nn.ReLU6(), nn.Conv2d(wide, outer, 1, bias=False), nn.BatchNorm2d(outer)]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inner == outer

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


def _mobilenet_v2(classes: int) -> nn.Module:
    settings = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)]
    settings += [(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    layers: list[nn.Module] = [
        nn.Conv2d(3, 32, 3, 2, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU6(),
    ]
    inner = 32
    for expansion, outer, depth, stride in settings:
        for number in range(depth):
            layers.append(InvertedResidual(inner, outer, 1 if number else stride, expansion))
            inner = outer
    layers += [nn.Conv2d(inner, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, classes)]
    return nn.Sequential(*layers)


def _vgg16(classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    inner = 3
    for width, depth in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(depth):
            layers += [nn.Conv2d(inner, width, 3, padding=1), nn.ReLU()]
            inner = width
        layers.append(nn.MaxPool2d(2))
    layers += [nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(512 * 49, 4096), nn.ReLU()]
    layers += [nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, classes)]
    return nn.Sequential(*layers)


_NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "mobilenet_v2": _mobilenet_v2,
    "resnet18": lambda classes: ResNet(BasicBlock, (2, 2, 2, 2), classes),
    "resnet50": lambda classes: ResNet(Bottleneck, (3, 4, 6, 3), classes),
    "vgg16": _vgg16,
}
