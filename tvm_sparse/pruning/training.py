"""Fine-tune a pruned model; its zeros stay zeros."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tvm_sparse.errors import PruningError
from tvm_sparse.pruning.masks import Masks

_DECAY = 1e-4


def sgd(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum 0.9 and a little weight decay."""
    return torch.optim.SGD(parameters, rate, 0.9, weight_decay=_DECAY, nesterov=True)


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a model is trained: on what, for how long, against which loss.

    Parameters
    ----------
    batches : collection of (inputs, labels)
        E.g. a DataLoader; it has a length.
    epochs : int
        Times to go through the batches.
    rate : float
        Peak of the one-cycle learning rate.
    loss : callable
        Of the model's output and the labels.
    optimizer : callable
        Of the parameters and the rate, e.g. ``torch.optim.AdamW``.
    teacher : torch.nn.Module, optional
        A model whose outputs are learned too, e.g. the dense one (Hinton et al., "Distilling the
        Knowledge in a Neural Network", 2015).
    share : float
        The teacher's share of the loss.
    temperature : float
        By which logits are divided before they are compared with the teacher's.
    tell : callable, optional
        Called after every step with the steps done, all steps, and the loss.
    """

    batches: Collection[Any]
    epochs: int = 3
    rate: float = 0.02
    loss: Callable[[Any, Any], Tensor] = nn.functional.cross_entropy
    optimizer: Callable[[Iterable[nn.Parameter], float], torch.optim.Optimizer] = sgd
    teacher: nn.Module | None = None
    share: float = 0.5
    temperature: float = 4.0
    tell: Callable[[int, int, float], None] | None = None


def fine_tune(
    model: nn.Module,
    training: Training,
    *,
    epochs: int | None = None,
    hold: bool = True,
    pull: Callable[[float], None] | None = None,
    each_epoch: Callable[[int], None] | None = None,
) -> nn.Module:
    """Train a model in place, and return it in inference mode.

    Parameters
    ----------
    model : torch.nn.Module
    training : Training
    epochs : int, optional
        Instead of the training's.
    hold : bool
        Whether weights that are zero now stay zero.
    pull : callable, optional
        Called after each step with its learning rate, without gradients: moves weights towards
        what they shall become (a proximal step, which no strength makes unstable).
    each_epoch : callable, optional
        Called before each epoch with its number.

    Raises
    ------
    PruningError
        If there are no batches, or the loss is not a number any more.
    """
    epochs = training.epochs if epochs is None else epochs
    steps = epochs * len(training.batches)
    if not len(training.batches):
        raise PruningError("training has no batches: expected (inputs, labels) pairs")
    if not epochs:
        return model.eval()
    optimizer = training.optimizer(model.parameters(), training.rate)
    if hold:
        Masks(model).attach(optimizer)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        training.rate,
        total_steps=steps,
        cycle_momentum=not {"momentum", "betas"}.isdisjoint(optimizer.defaults),
    )
    model.train()
    done = 0
    for epoch in range(epochs):
        if each_epoch:
            each_epoch(epoch)
        for inputs, labels in training.batches:
            loss = _loss(model, training, inputs, labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if pull:
                with torch.no_grad():
                    pull(optimizer.param_groups[0]["lr"])
            schedule.step()
            done += 1
            _tell(training, done, steps, float(loss.detach()))
    return model.eval()


def _loss(model: nn.Module, training: Training, inputs: Any, labels: Any) -> Tensor:
    arguments = inputs if isinstance(inputs, tuple | list) else (inputs,)
    outputs = model(*arguments)
    loss = training.loss(outputs, labels)
    if training.teacher is None:
        return loss
    with torch.no_grad():
        wanted = training.teacher.eval()(*arguments)
    return (1 - training.share) * loss + training.share * distillation(
        outputs, wanted, training.temperature
    )


def distillation(outputs: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Return how far logits (n, classes) are from the teacher's: T² · KL at temperature T."""
    given, target = (nn.functional.log_softmax(x / temperature, -1) for x in (outputs, wanted))
    divergence = nn.functional.kl_div(given, target, reduction="batchmean", log_target=True)
    return divergence * temperature**2


def _tell(training: Training, done: int, steps: int, loss: float) -> None:
    if loss != loss:
        raise PruningError(f"the loss is not a number after {done} steps: lower the learning rate")
    if training.tell:
        training.tell(done, steps, loss)
