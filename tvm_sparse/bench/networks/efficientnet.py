"""EfficientNet-B0 (Tan and Le, ICML 2019)."""

from __future__ import annotations

from torch import Tensor, nn

from tvm_sparse.bench.networks.layers import Excite, InvertedResidual, image, normalized

_STAGES = [  # expansion, outer channels, depth, stride, kernel
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
]


def efficientnet_b0(size: int, classes: int) -> tuple[nn.Module, Tensor]:
    """Return EfficientNet-B0."""
    layers = normalized(3, 32, 3, 2, activation=nn.SiLU)
    inner = 32
    for expansion, outer, depth, first, kernel in _STAGES:
        for stride in [first] + [1] * (depth - 1):
            wide = inner * expansion
            excite = Excite(wide, inner // 4, nn.SiLU, nn.Sigmoid)
            block = InvertedResidual(inner, wide, outer, kernel, stride, nn.SiLU, excite)
            layers.append(block)
            inner = outer
    layers += normalized(inner, 1280, 1, activation=nn.SiLU)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, classes)]
    return nn.Sequential(*layers), image(size)


NETWORKS = {"efficientnet_b0": efficientnet_b0}
