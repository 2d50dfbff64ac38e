"""The networks that a run knows: small ones for small images, and those of the bench."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from tvm_sparse.bench import networks
from tvm_sparse.bench.networks.layers import InvertedResidual, normalized
from tvm_sparse.bench.networks.resnet import BasicBlock, ResNet
from tvm_sparse.errors import ConfigError
from tvm_sparse.workflow import config
from tvm_sparse.workflow.data import Images

_DEPTHS = {"resnet8": (1, 1, 1), "resnet14": (2, 2, 2), "resnet20": (3, 3, 3)}
SMALL = (*_DEPTHS, "mobilenet_small")


def make(wanted: config.Model, data: Images) -> nn.Module:
    """Return a network for a data set, with its weights if it is told where these are.

    Raises
    ------
    ConfigError
        If the network is unknown, or its weights cannot be loaded.
    """
    model = _made(wanted, data)
    if wanted.weights:
        load(model, Path(wanted.weights))
    return model.eval()


def load(model: nn.Module, path: Path) -> None:
    """Load a state dictionary into a model.

    Raises
    ------
    ConfigError
        If the file cannot be read, or is of another network.
    """
    try:
        model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    except Exception as error:  # torch raises whatever the file leads it to
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"cannot load the weights {path}: {reason}; expected a state dictionary of this "
            "network, as torch.save(model.state_dict(), path) writes it"
        ) from error


def _made(wanted: config.Model, data: Images) -> nn.Module:
    if wanted.name in _DEPTHS:
        return ResNet(
            BasicBlock,
            _DEPTHS[wanted.name],
            data.classes,
            width=wanted.width,
            small=True,
            channels=data.channels,
        )
    if wanted.name == "mobilenet_small":
        return mobilenet_small(wanted.width, data.classes, data.channels)
    if wanted.name not in networks.names():
        known = ", ".join((*SMALL, *networks.names()))
        raise ConfigError(f"unknown network {wanted.name!r}; expected one of {known}")
    if data.channels != 3:
        raise ConfigError(
            f"the network {wanted.name} takes images of 3 channels, {data.channels} came; use one "
            f"of {', '.join(SMALL)}"
        )
    return networks.network(wanted.name, data.size, data.classes)[0]


def mobilenet_small(width: int, classes: int, channels: int) -> nn.Module:
    """Return inverted residuals for images of about 32×32 pixels (after MobileNetV2).

    Seven blocks that expand six times, in three stages of `width`, 1.5 and 2.5 times as many
    channels; the image is halved twice.
    """
    stages = ((width, 2, 1), (width * 3 // 2, 3, 2), (width * 5 // 2, 2, 2))
    layers = normalized(channels, width, 3, 1, activation=nn.ReLU6)
    inner = width
    for outer, depth, first in stages:
        for stride in [first] + [1] * (depth - 1):
            layers.append(InvertedResidual(inner, 6 * inner, outer, 3, stride, nn.ReLU6))
            inner = outer
    layers += normalized(inner, 8 * width, 1, activation=nn.ReLU6)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, classes)]
    return nn.Sequential(*layers)
