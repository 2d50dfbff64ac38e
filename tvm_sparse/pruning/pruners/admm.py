"""Train towards a format with the alternating direction method of multipliers, then prune.

Each epoch the weights W are projected onto the format, Z = project(W + U), and their distance is
added up, U += W - Z. The loss gets ρ / 2 · ‖W - Z + U‖², by its proximal operator; ρ rises from
epoch to epoch.

Zhang et al., "A Systematic DNN Weight Pruning Framework using Alternating Direction Method of
Multipliers", ECCV 2018.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.pruners.magnitude import keep_best, magnitudes, mask
from tvm_sparse.pruning.training import Training, fine_tune
from tvm_sparse.scheme import Scheme


def prune(
    model: torch.nn.Module,
    schemes: Mapping[str, Scheme],
    *,
    training: Training,
    first: float = 0.1,
    last: float = 10.0,
) -> None:
    """Train with the penalty for the training's epochs, then prune the named layers in place.

    Parameters
    ----------
    model : torch.nn.Module
    schemes : mapping of str to Scheme
    training : Training
    first, last : float
        ρ in the first and in the last epoch; between them it rises geometrically.
    """
    weights = {name: prunable(model)[name] for name in schemes}
    duals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    targets: dict[str, Tensor] = {}  # Z - U
    rho = first

    def update(epoch: int) -> None:
        nonlocal rho
        before, rho = rho, first * (last / first) ** (epoch / max(training.epochs - 1, 1))
        for name, weight in weights.items():
            moved = weight.detach() + duals[name] * (before / rho)  # U is a dual divided by ρ
            near = moved * kept(moved, schemes[name])
            duals[name] = moved - near
            targets[name] = near - duals[name]

    def pull(rate: float) -> None:
        for name, weight in weights.items():
            weight.lerp_(targets[name], 1 - 1 / (1 + rate * rho))

    fine_tune(model, training, pull=pull, each_epoch=update)
    keep_best(model, magnitudes(model, schemes), schemes)


def kept(weight: Tensor, scheme: Scheme) -> Tensor:
    """Return which weights the nearest weight of a format keeps, as a bool tensor."""
    return torch.from_numpy(mask(weight.detach().abs().cpu().numpy(), scheme)).to(weight.device)
