"""Draw whole boxes of weights to zero while training; how sparse each layer becomes falls out.

The loss gets λ / 2 · Σ α_g · ‖W_g‖² over the boxes g of all layers, by its proximal operator.
α_g = 1 / (‖W_g‖² + ε), divided by its value for the layer's mean ‖W_g‖², is taken anew each round:
small boxes are drawn harder, large ones hardly at all, and λ is the decay of a middling weight.
Then all boxes under one threshold go.

Candès, Wakin and Boyd, "Enhancing Sparsity by Reweighted ℓ1 Minimization", 2008; for boxes of
weights Ma et al., "BLK-REW: A Unified Block-based DNN Pruning Framework using Reweighted
Regularization Method", arXiv 2001.08357.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from tvm_sparse import formats
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.pruners.magnitude import keep_best, on_one_scale
from tvm_sparse.pruning.training import Training, fine_tune
from tvm_sparse.scheme import Scheme

_EPSILON = 1e-2  # of the mean of ‖W_g‖²


def prune(
    model: torch.nn.Module,
    schemes: Mapping[str, Scheme],
    *,
    training: Training,
    strength: float = 3.0,
    rounds: int = 3,
    threshold: float | None = None,
) -> None:
    """Train with the penalty, then prune the named layers in place.

    Parameters
    ----------
    model : torch.nn.Module
    schemes : mapping of str to Scheme
        Each layer's format and block.
    training : Training
        Its epochs are divided among the rounds.
    strength : float
        λ; at a learning rate η, a middling weight is divided by 1 + η · λ each step.
    rounds : int
        How often α is taken anew.
    threshold : float, optional
        Boxes go whose root mean square is less than so much of their layer's before the first
        round. By default, as many go over all layers as the schemes' densities say.
    """
    weights = prunable(model)
    groups = {
        name: torch.from_numpy(
            formats.get(s.format).groups(tuple(weights[name].shape), s.block).astype(np.int64)
        ).reshape(-1)
        for name, s in schemes.items()
    }
    scale = {name: float(weights[name].detach().square().mean().sqrt()) for name in schemes}
    for number in range(rounds):
        epochs = training.epochs * (number + 1) // rounds - training.epochs * number // rounds
        alphas = {name: _alphas(weights[name], groups[name]) for name in schemes}

        def pull(rate: float, alphas: dict[str, Tensor] = alphas) -> None:
            for name, alpha in alphas.items():
                weights[name].div_(1 + rate * strength * alpha)

        fine_tune(model, training, epochs=epochs, pull=pull)
    scores = {
        name: _root_mean_squares(weights[name], groups[name], scale[name]) for name in schemes
    }
    keep_best(model, scores, on_one_scale(scores, schemes, threshold))


def _sums(weight: Tensor, groups: Tensor) -> Tensor:
    """Return ‖W_g‖² of each group."""
    squares = weight.detach().square().reshape(-1)
    sums = torch.zeros(int(groups.max()) + 1, dtype=squares.dtype, device=squares.device)
    return sums.index_add_(0, groups.to(squares.device), squares)


def _alphas(weight: Tensor, groups: Tensor) -> Tensor:
    """Return α of the group of each weight, in the weight's shape."""
    sums = _sums(weight, groups)
    mean = sums.mean() + torch.finfo(sums.dtype).tiny
    alphas = (1 + _EPSILON) * mean / (sums + _EPSILON * mean)
    return alphas[groups.to(sums.device)].reshape(weight.shape)


def _root_mean_squares(weight: Tensor, groups: Tensor, scale: float) -> Weight:
    """Return the root mean square of each weight's group, as a share of the layer's scale."""
    number = torch.bincount(groups).clamp(min=1)
    found = (_sums(weight, groups).cpu() / number).sqrt()[groups]
    return np.asarray(found.reshape(weight.shape).numpy() / max(scale, 1e-30))
