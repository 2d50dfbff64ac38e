"""The networks that are measured: plain torch, seeded weights, no downloads.

Weights are He-initialized and batch-norm statistics are those of a calibration input, so that
activations stay of order one in every layer, as in a trained network. One family a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tvm_sparse.bench.networks import (
    efficientnet,
    mobilenet,
    resnet,
    signals,
    transformers,
    unet,
    vgg,
)
from tvm_sparse.errors import FormatError
from tvm_sparse.pruning import prune
from tvm_sparse.pruning.layers import prunable

_FAMILIES = (efficientnet, mobilenet, resnet, signals, transformers, unet, vgg)
_NETWORKS = {name: make for family in _FAMILIES for name, make in family.NETWORKS.items()}


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
        Height and width of the image; what other inputs are scaled by, 224 being their own size.
    classes : int
        Ignored by networks that do not classify.

    Raises
    ------
    FormatError
        If there is no network of that name.
    """
    if name not in _NETWORKS:
        raise FormatError(f"unknown network {name!r}; expected one of {', '.join(names())}")
    with _seeded():
        model, x = _NETWORKS[name](size, classes)
        _settle(model, x)
    return model.eval(), x


def pruned(name: str, scheme: str, size: int = 224) -> tuple[nn.Module, Tensor]:
    """Return a network pruned by a scheme, and an input for it; as `network` and `plan` say."""
    model, x = network(name, size)
    prune(model, plan(model, scheme))
    return model, x


def plan(model: nn.Module, scheme: str) -> str | dict[str, str]:
    """Return which layers of a network to prune, as `tvm_sparse.prune` takes it.

    The first and the last layer stay dense, but not those of a bare encoder, which reads and writes
    hidden states.
    """
    if isinstance(model, transformers.Encoder):
        return {layer: scheme for layer in prunable(model)}
    return scheme


@contextmanager
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _settle(model: nn.Module, x: Tensor) -> None:
    """Initialize the weights, and set batch-norm statistics to those of an input."""
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.05)
        elif isinstance(module, _BatchNorm):
            module.momentum = 1.0
    model.train()
    with torch.no_grad():
        model(torch.cat([x, x.flip(-1)]))
