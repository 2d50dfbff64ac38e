"""MobileNets: networks of depthwise convolutions for phones."""

from __future__ import annotations

from torch import Tensor, nn

from tvm_sparse.bench.networks.layers import Excite, InvertedResidual, image, normalized


def mobilenet_v2(size: int, classes: int) -> tuple[nn.Module, Tensor]:
    """Return MobileNetV2 (Sandler et al., CVPR 2018)."""
    settings = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)]
    settings += [(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    layers = normalized(3, 32, 3, 2, activation=nn.ReLU6)
    inner = 32
    for expansion, outer, depth, first in settings:
        for stride in [first] + [1] * (depth - 1):
            wide = inner * expansion
            layers.append(InvertedResidual(inner, wide, outer, 3, stride, nn.ReLU6))
            inner = outer
    layers += normalized(inner, 1280, 1, activation=nn.ReLU6)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, classes)]
    return nn.Sequential(*layers), image(size)


_LARGE = [  # kernel, wide, outer, whether it excites, activation, stride
    (3, 16, 16, False, nn.ReLU, 1),
    (3, 64, 24, False, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 1),
    (5, 72, 40, True, nn.ReLU, 2),
    (5, 120, 40, True, nn.ReLU, 1),
    (5, 120, 40, True, nn.ReLU, 1),
    (3, 240, 80, False, nn.Hardswish, 2),
    (3, 200, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 480, 112, True, nn.Hardswish, 1),
    (3, 672, 112, True, nn.Hardswish, 1),
    (5, 672, 160, True, nn.Hardswish, 2),
    (5, 960, 160, True, nn.Hardswish, 1),
    (5, 960, 160, True, nn.Hardswish, 1),
]


def mobilenet_v3(size: int, classes: int) -> tuple[nn.Module, Tensor]:
    """Return MobileNetV3-Large (Howard et al., ICCV 2019)."""
    layers = normalized(3, 16, 3, 2, activation=nn.Hardswish)
    inner = 16
    for kernel, wide, outer, excites, activation, stride in _LARGE:
        squeezed = (wide // 4 + 4) // 8 * 8
        excite = Excite(wide, squeezed, nn.ReLU, nn.Hardsigmoid) if excites else None
        layers.append(InvertedResidual(inner, wide, outer, kernel, stride, activation, excite))
        inner = outer
    layers += normalized(inner, 960, 1, activation=nn.Hardswish)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    layers += [nn.Linear(960, 1280), nn.Hardswish(), nn.Linear(1280, classes)]
    return nn.Sequential(*layers), image(size)


NETWORKS = {"mobilenet_v2": mobilenet_v2, "mobilenet_v3": mobilenet_v3}
