"""Small networks of many kinds: what users bring."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Of(nn.Module):
    """A function of some layers and an input."""

    def __init__(self, compute: Callable[[nn.ModuleList, Tensor], Tensor], *layers: nn.Module):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.compute = compute

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(self.layers, x)


def _shuffle(m: nn.ModuleList, x: Tensor) -> Tensor:
    y = m[0](x)
    b, c, h, w = y.shape
    y = y.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)
    left, right = y.chunk(2, 1)
    return torch.cat([left, m[1](right)], 1)


def _dense(m: nn.ModuleList, x: Tensor) -> Tensor:
    for layer in m:
        x = torch.cat([x, torch.relu(layer(x))], 1)
    return x


def _attention(m: nn.ModuleList, x: Tensor) -> Tensor:
    y = m[0](x)
    q, k, v = (t.view(*t.shape[:2], 4, -1).transpose(1, 2) for t in m[1](y).chunk(3, -1))
    y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
    x = x + m[2](y)
    out: Tensor = x + m[4](F.gelu(m[3](x)))
    return out


def _patches(m: nn.ModuleList, x: Tensor) -> Tensor:
    out: Tensor = m[1](m[0](x).flatten(2).transpose(1, 2)).mean(1)
    return out


def _upscale(m: nn.ModuleList, x: Tensor) -> Tensor:
    a = torch.relu(m[0](x))
    b = m[2](torch.relu(m[1](a)))
    return F.pixel_shuffle(m[3](torch.cat([a, b], 1)), 2)


def _gated(m: nn.ModuleList, x: Tensor) -> Tensor:
    gate = F.hardsigmoid(m[1](F.relu(m[0](F.adaptive_avg_pool2d(x, 1)))))
    out: Tensor = m[2](F.hardswish(x * gate)) + x
    return out


def _resized(m: nn.ModuleList, x: Tensor) -> Tensor:
    return F.interpolate(F.silu(m[0](x)), scale_factor=2, mode="bilinear")


def networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Return networks by name, each with the shape of its input."""
    torch.manual_seed(0)
    conv, linear = nn.Conv2d, nn.Linear
    attention = (nn.LayerNorm(64), linear(64, 192), linear(64, 64), linear(64, 256))
    signal = [nn.Conv1d(8, 32, 5, padding=2), nn.BatchNorm1d(32), nn.ReLU(), nn.Flatten()]
    return {
        "channel shuffle": (
            Of(_shuffle, conv(16, 32, 1), conv(16, 16, 3, padding=1, groups=16)),
            (1, 16, 20, 20),
        ),
        "dense blocks": (
            Of(_dense, conv(16, 16, 3, padding=1), conv(32, 16, 3, padding=1), conv(48, 16, 1)),
            (2, 16, 14, 14),
        ),
        "encoder": (Of(_attention, *attention, linear(256, 64)), (2, 17, 64)),
        "patches": (Of(_patches, conv(3, 64, 8, 8), nn.LayerNorm(64)), (2, 3, 32, 32)),
        "super-resolution": (
            Of(
                _upscale,
                conv(3, 32, 3, padding=1),
                conv(32, 64, 3, 2, 1),
                nn.ConvTranspose2d(64, 32, 2, 2),
                conv(64, 12, 3, padding=1),
            ),
            (1, 3, 24, 32),
        ),
        "squeeze and excite": (
            Of(_gated, conv(32, 8, 1), conv(8, 32, 1), conv(32, 32, 1)),
            (2, 32, 28, 28),
        ),
        "signal": (nn.Sequential(*signal, linear(32 * 50, 5)), (2, 8, 50)),
        "resized": (Of(_resized, conv(8, 64, 3, padding=1)), (1, 8, 20, 20)),
        "grouped": (
            nn.Sequential(conv(64, 64, 3, padding=1, groups=8), nn.PReLU(), conv(64, 128, 1)),
            (1, 64, 28, 28),
        ),
        "rows and columns": (
            nn.Sequential(
                conv(8, 8, (1, 7), padding=(0, 3)),
                conv(8, 8, (7, 1), stride=(2, 1), padding=(3, 0)),
            ),
            (1, 8, 19, 21),
        ),
        "reflected": (
            nn.Sequential(conv(3, 16, 3, padding=1, padding_mode="reflect"), nn.Softplus()),
            (1, 3, 18, 22),
        ),
    }
