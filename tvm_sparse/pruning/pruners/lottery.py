"""Train, remove the smallest, go back to the early weights; round after round (IMP with rewinding).

Frankle and Carbin, "The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks",
ICLR 2019; Renda et al., "Comparing Rewinding and Fine-tuning in Neural Network Pruning", ICLR 2020.
Any format's boxes stand in the place of single weights.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from tvm_sparse.errors import PruningError
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.pruning.pruners.inherited import ladder
from tvm_sparse.pruning.pruners.magnitude import keep_best, magnitudes
from tvm_sparse.pruning.training import Training, fine_tune
from tvm_sparse.scheme import Scheme

State = Mapping[str, Tensor]


def prune(
    model: torch.nn.Module,
    schemes: Mapping[str, Scheme],
    *,
    training: Training,
    share: float = 0.2,
    rewind: State | None = None,
) -> None:
    """Prune the named layers in place; what is left has its early values again, untrained.

    Parameters
    ----------
    model : torch.nn.Module
    schemes : mapping of str to Scheme
    training : Training
        Of each round.
    share : float
        Of the remaining weights a round removes; the sparsest layer decides how many rounds.
    rewind : state dict, optional
        The early weights, e.g. ``model.state_dict()`` after an epoch. By default, those that the
        model comes with.

    Raises
    ------
    PruningError
        If the share is not between 0 and 1.
    """
    start = copy.deepcopy(dict(rewind if rewind is not None else model.state_dict()))
    if rewind is not None:
        restore(model, start, keep_zeros=False)
    weights, number = prunable(model), rounds(schemes, share)
    steps = {name: ladder(scheme, weights[name], number) for name, scheme in schemes.items()}
    for number_ in range(number):
        fine_tune(model, training)
        now = {name: found[number_] for name, found in steps.items()}
        keep_best(model, magnitudes(model, now), now)
        restore(model, start, keep_zeros=True)


def rounds(schemes: Mapping[str, Scheme], share: float) -> int:
    """Return how many rounds it takes to reach the sparsest scheme."""
    if not 0 < share < 1:
        raise PruningError(f"a round removes a share between 0 and 1 of the weights, got {share}")
    least = min((scheme.density for scheme in schemes.values()), default=1.0)
    return max(math.ceil(math.log(least) / math.log(1 - share) - 1e-9), 1)


def restore(model: torch.nn.Module, state: State, *, keep_zeros: bool) -> None:
    """Load a state, in place; prunable weights that are zero stay so if `keep_zeros` is set."""
    zeros = [(weight, weight.detach() == 0) for weight in prunable(model).values()]
    model.load_state_dict(dict(state))
    if keep_zeros:
        with torch.no_grad():
            for weight, where in zeros:
                weight.masked_fill_(where, 0.0)
