"""Small networks with every operator that a path should meet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import tvm_sparse as ts


def settle(model: nn.Module) -> nn.Module:
    """Give batch norm non-trivial statistics and parameters, and switch to inference."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return model.eval()


class Residual(nn.Module):
    """Bias, batch norm, a residual addition, and an activation that reads it."""

    def __init__(self, channels: int, activation: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.norm(self.conv(x)) + x)
        return y


class Perceptron(nn.Module):
    """Linear layers with an activation between them, on rows of features."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(features, hidden)
        self.down = nn.Linear(hidden, features)
        self.norm = nn.LayerNorm(features)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x + self.down(nn.functional.gelu(self.up(x))))
        return y


def mixed() -> tuple[nn.Module, Tensor]:
    """A network with strides, groups, depthwise and dilated convolutions, pooling and a head."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 24, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU6(),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(24, 24, 3, padding=1, groups=24),
        nn.Hardswish(),
        nn.Conv2d(24, 32, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.SiLU(),
        nn.Conv2d(32, 32, 3, padding=2, dilation=2, groups=4),
        nn.Sigmoid(),
        Residual(32, nn.GELU()),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.Conv2d(32, 40, 3, stride=(2, 1), padding=(1, 0)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(40, 10),
        nn.Softmax(dim=-1),
    )
    return settle(model), torch.randn(2, 3, 37, 41)


def small() -> nn.Module:
    """A pruned network for images (1, 16, 12, 12), small enough for an emulated board."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 24, 1), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10)]
    found = nn.Sequential(*layers).eval()
    ts.prune(found, "one_by_n-4@0.2")
    return found
