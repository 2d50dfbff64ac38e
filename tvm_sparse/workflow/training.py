"""Train a model of a run, also one whose zeros must stay, also by what a dense one answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from tvm_sparse.pruning.training import Training, fine_tune
from tvm_sparse.workflow import config
from tvm_sparse.workflow.data import Images

_MOMENTUM = 0.9

Curve = list[dict[str, float]]
Tell = Callable[[str, int, int], None]


def training(
    data: Images, wanted: config.Train, seed: int, tell: Tell, teacher: nn.Module | None = None
) -> Training:
    """Return how a run trains, as pruning methods take it."""

    def sgd(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        decay = wanted.decay
        return torch.optim.SGD(parameters, rate, _MOMENTUM, weight_decay=decay, nesterov=True)

    return Training(
        batches=data.shuffled(wanted.batch, seed),
        epochs=wanted.epochs,
        rate=wanted.rate,
        optimizer=sgd,
        teacher=teacher if wanted.distill else None,
        share=wanted.distill,
        tell=lambda done, steps, loss: tell(f"training, loss {loss:.3f}", done, steps),
    )


def train(model: nn.Module, data: Images, how: Training) -> Curve:
    """Train in place; weights that are zero stay zero.

    Returns
    -------
    list of dict
        The ``accuracy`` on the test images after each epoch.
    """
    curve: Curve = []

    def note(epoch: int) -> None:
        if epoch:
            curve.append({"accuracy": accuracy(model.eval(), data)})
            model.train()

    fine_tune(model, how, each_epoch=note)
    return [*curve, {"accuracy": accuracy(model, data)}] if how.epochs else []


def accuracy(model: nn.Module, data: Images) -> float:
    """Return the share of test images whose class is predicted, the model being in eval mode."""
    right = total = 0
    with torch.inference_mode():
        for images, labels in data.tested():
            right += int((model(images).argmax(1) == labels).sum())
            total += len(labels)
    return right / total
