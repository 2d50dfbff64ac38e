"""Train a model, also one whose zeros must stay, also by what a dense one answers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tvm_sparse.pruning.masks import Masks
from tvm_sparse.workflow import config
from tvm_sparse.workflow.data import Images

_TEMPERATURE = 3.0

Curve = list[dict[str, float]]


def train(
    model: nn.Module,
    data: Images,
    wanted: config.Train,
    seed: int,
    tell: Callable[[str, int, int], None],
    teacher: nn.Module | None = None,
) -> Curve:
    """Train in place with SGD and a one-cycle learning rate; weights that are zero stay zero.

    Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, for the teacher.

    Returns
    -------
    list of dict
        Of each epoch: the mean ``loss``, and the ``accuracy`` on the test images.
    """
    generator, masks = torch.Generator().manual_seed(seed), Masks(model)
    optimizer = torch.optim.SGD(
        model.parameters(), wanted.rate, 0.9, weight_decay=wanted.decay, nesterov=True
    )
    steps = max(1, wanted.epochs * -(-data.steps // wanted.batch))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, wanted.rate, total_steps=steps)
    curve: Curve = []
    for epoch in range(wanted.epochs):
        losses = []
        model.train()
        for images, labels in data.shuffled(wanted.batch, generator):
            loss = _loss(model(images), images, labels, wanted, teacher)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            masks.apply()
            schedule.step()
            losses.append(float(loss.detach()))
            tell(f"epoch {epoch + 1} of {wanted.epochs}", schedule.last_epoch, steps)
        model.eval()
        curve.append({"loss": sum(losses) / len(losses), "accuracy": accuracy(model, data)})
    return curve


def accuracy(model: nn.Module, data: Images) -> float:
    """Return the share of test images whose class is predicted."""
    right = total = 0
    with torch.inference_mode():
        for images, labels in data.tested():
            right += int((model(images).argmax(1) == labels).sum())
            total += len(labels)
    return right / total


def _loss(
    answers: Tensor,
    images: Tensor,
    labels: Tensor,
    wanted: config.Train,
    teacher: nn.Module | None,
) -> Tensor:
    loss = nn.functional.cross_entropy(answers, labels)
    if teacher is None or not wanted.distill:
        return loss
    with torch.no_grad():
        said = nn.functional.log_softmax(teacher(images) / _TEMPERATURE, 1)
    mine = nn.functional.log_softmax(answers / _TEMPERATURE, 1)
    apart = nn.functional.kl_div(mine, said, reduction="batchmean", log_target=True)
    return (1 - wanted.distill) * loss + wanted.distill * _TEMPERATURE**2 * apart
