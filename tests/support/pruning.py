"""A small residual network, and labelled images that it can learn, for pruning methods."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tvm_sparse import formats
from tvm_sparse.formats.protocol import Block
from tvm_sparse.pruning.layers import prunable


class Block2(nn.Module):
    """Two convolutions and a shortcut, with weights where the channels change."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        self.shortcut = nn.Conv2d(channels, filters, 1) if channels != filters else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def network(width: int = 16) -> nn.Sequential:
    """Layers: 0, 1.conv1, 1.conv2, 2.conv1, 2.conv2, 2.shortcut and 5."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, width, 3, padding=1),
        Block2(width, width),
        Block2(width, 2 * width),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * width, 3),
    )


def batches(number: int = 3, size: int = 24) -> list[tuple[Tensor, Tensor]]:
    """Images (size, 2, 5, 5) whose brightest column third is the label."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(number):
        x = torch.randn(size, 2, 5, 5, generator=generator)
        y = torch.randint(3, (size,), generator=generator)
        x[torch.arange(size), :, :, 2 * y] += 1.5
        found.append((x, y))
    return found


def kept(model: nn.Module, name: str) -> float:
    """The share of a layer's weights that are not zero."""
    return float((prunable(model)[name] != 0).float().mean())


def fits(model: nn.Module, name: str, form: str, block: Block) -> bool:
    """Whether a format describes a layer's zeros."""
    return formats.get(form).fits(prunable(model)[name].detach().numpy(), block)


def accuracy(model: nn.Module, data: list[tuple[Tensor, Tensor]]) -> float:
    with torch.no_grad():
        right = [(model.eval()(x).argmax(1) == y).float().mean() for x, y in data]
    return float(torch.stack(right).mean())
