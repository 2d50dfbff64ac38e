"""Prune in stages, each mask inside of the one before: a family of ever sparser networks.

N:M zeros go from M - 1 of M down to N of M; other formats through falling densities. Within a stage
the next mask is dynamic: every epoch it is chosen anew among the weights that the stage before
left, and what it would drop is only drawn towards zero, so that weights may still change places.

Fang et al., "An Algorithm-Hardware Co-Optimized Framework for Accelerating N:M Sparse Transformers"
(inherited dynamic pruning), TVLSI 2022. The pull is that of Zhou et al., "Learning N:M Fine-grained
Structured Sparse Neural Networks From Scratch", ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from tvm_sparse import formats
from tvm_sparse.errors import PruningError
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.pruners.magnitude import keep_best, magnitudes, mask
from tvm_sparse.pruning.training import Training, fine_tune
from tvm_sparse.scheme import Scheme

_CHOSEN_AT_ONCE = ("regrouped",)  # their sets of filters would not be inherited


def prune(
    model: torch.nn.Module,
    schemes: Mapping[str, Scheme],
    *,
    training: Training | None = None,
    stages: int = 3,
    strength: float = 3.0,
    each_stage: Callable[[int, Mapping[str, Scheme]], None] | None = None,
) -> None:
    """Prune the named layers in place.

    Parameters
    ----------
    model : torch.nn.Module
    schemes : mapping of str to Scheme
        The last and sparsest ones.
    training : Training, optional
        Its epochs are divided among the stages; without it, stages follow one another untrained.
    stages : int
    strength : float
        Of the pull towards zero: at a learning rate η, a weight is divided by 1 + η · strength
        each step.
    each_stage : callable
        Called after each stage with its number, from 0, and its schemes; the model's zeros are
        those of the stage then.

    Raises
    ------
    PruningError
        If there is no stage.
    """
    if stages < 1:
        raise PruningError(f"inherited pruning has at least one stage, got {stages}")
    weights = prunable(model)
    ladders = {name: ladder(scheme, weights[name], stages) for name, scheme in schemes.items()}
    for stage in range(stages):
        now = {name: steps[stage] for name, steps in ladders.items()}
        if training:
            _train(model, now, training, strength, _epochs(training, stage, stages))
        keep_best(model, magnitudes(model, now), now)
        if each_stage:
            each_stage(stage, now)


def ladder(scheme: Scheme, weight: Tensor, stages: int) -> list[Scheme]:
    """Return a scheme for each stage, the given one last, each mask fitting into the one before."""
    if scheme.format in _CHOSEN_AT_ONCE:
        return [Scheme(format="dense")] * (stages - 1) + [scheme]
    shape, form = tuple(weight.shape), formats.get(scheme.format)
    if scheme.format == "nm":
        n, m = scheme.block
        blocks = [(kept, m) for kept in range(max(m - 1, n), n - 1, -1)]
        steps = [replace(scheme, block=b, density=form.limit(shape, b)) for b in blocks]
        steps += [scheme] * (scheme.density < steps[-1].density)
        chosen = [-(-stage * len(steps) // stages) - 1 for stage in range(1, stages)]
        return [steps[max(number, 0)] for number in chosen] + [scheme]
    most = form.limit(shape, scheme.block)
    falls = [(scheme.density / most) ** (stage / stages) for stage in range(1, stages)]
    return [replace(scheme, density=most * fall) for fall in falls] + [scheme]


def _epochs(training: Training, stage: int, stages: int) -> int:
    return training.epochs * (stage + 1) // stages - training.epochs * stage // stages


def _train(
    model: torch.nn.Module,
    schemes: Mapping[str, Scheme],
    training: Training,
    strength: float,
    epochs: int,
) -> None:
    weights = prunable(model)
    dropped: dict[str, Tensor] = {}

    def choose(_: int) -> None:
        for name, scores in magnitudes(model, schemes).items():
            dropped[name] = torch.from_numpy(~mask(scores, schemes[name])).to(weights[name])

    def pull(rate: float) -> None:
        for name, drop in dropped.items():
            weights[name].div_(1 + rate * strength * drop)

    fine_tune(model, training, epochs=epochs, pull=pull, each_epoch=choose)
