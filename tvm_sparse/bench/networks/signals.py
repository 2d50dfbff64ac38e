"""Networks for signals: one-dimensional convolutions, as in keyword spotting and ECGs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Two convolutions along time and a shortcut.

    Parameters
    ----------
    inner, outer : int
        Channels before and after.
    kernel, stride, dilation : int
        Of the first convolution; the second keeps the length.
    """

    def __init__(self, inner: int, outer: int, kernel: int, stride: int, dilation: int) -> None:
        super().__init__()
        same = kernel // 2
        self.conv1 = nn.Conv1d(inner, outer, kernel, stride, same * dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm1d(outer)
        self.conv2 = nn.Conv1d(outer, outer, kernel, 1, same, bias=False)
        self.bn2 = nn.BatchNorm1d(outer)
        self.shortcut: nn.Module = nn.Identity()
        if inner != outer or stride != 1:
            conv = nn.Conv1d(inner, outer, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm1d(outer))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block."""
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def conv1d(size: int, classes: int) -> tuple[nn.Module, Tensor]:
    """Return a residual network of 12 leads, 16 · size samples."""
    layers: list[nn.Module] = [
        nn.Conv1d(12, 64, 9, 2, 4, bias=False),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.MaxPool1d(3, 2, 1),
    ]
    settings = [(64, 7, 1, 1), (64, 3, 1, 2), (128, 7, 2, 1), (128, 3, 1, 4)]
    settings += [(256, 5, 2, 1), (256, 3, 1, 8), (512, 5, 2, 1), (512, 3, 1, 1)]
    inner = 64
    for outer, kernel, stride, dilation in settings:
        layers.append(Block(inner, outer, kernel, stride, dilation))
        inner = outer
    layers += [nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(512, classes)]
    return nn.Sequential(*layers), torch.randn(1, 12, 16 * size)


NETWORKS = {"conv1d": conv1d}
