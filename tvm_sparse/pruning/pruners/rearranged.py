"""Put strong filters next to strong ones, then prune by magnitude (1×N with rearrangement).

Filters that lie in one block lose the same channels, so that it is better if they are of similar
importance. They are sorted by their L1 norm; batch norms follow, and the next layers' inputs are
permuted alike, so that the model computes what it did. Filters whose outputs are added up (at a
residual connection) are sorted together by the sum of their norms, those that something else
depends on (groups, reshapes, the output) keep their order.

Lin et al., "1xN Pattern for Pruning Convolutional Neural Networks", TPAMI 2022; there, filters at
residual connections are not rearranged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from tvm_sparse.pruning import channel_flow, channel_orders
from tvm_sparse.pruning.pruners import magnitude
from tvm_sparse.scheme import Scheme


def prune(model: nn.Module, schemes: Mapping[str, Scheme]) -> None:
    """Rearrange the filters of the named layers, and prune them in place.

    Raises
    ------
    PruningError
        If torch.fx cannot trace the model.
    """
    rearrange(model, schemes)
    magnitude.prune(model, schemes)


def rearrange(model: nn.Module, names: Collection[str]) -> dict[str, Tensor]:
    """Sort the filters of layers by norm, in place; the model computes what it did.

    Parameters
    ----------
    model : torch.nn.Module
    names : collection of str
        Layers that are to be pruned.

    Returns
    -------
    dict of str to int64 tensor
        For each layer whose filters were sorted: which one came to each place.
    """
    found: dict[str, Tensor] = {}
    for order in channel_flow.find(model):
        writers = [name for name in order.writers if name in names]
        if writers:
            permutation = sum_of_norms(model, writers).argsort(descending=True, stable=True)
            channel_orders.permute(model, order, permutation)
            found |= dict.fromkeys(order.writers, permutation)
    return found


def sum_of_norms(model: nn.Module, names: Collection[str]) -> Tensor:
    """Return the L1 norm of each filter, as a share of its layer's, summed over layers."""
    norms = []
    for name in names:
        weight = model.get_submodule(name).weight
        assert isinstance(weight, Tensor)
        norm = weight.detach().abs().flatten(1).sum(dim=1)
        norms.append(norm / norm.sum().clamp(min=torch.finfo(norm.dtype).tiny))
    return torch.stack(norms).sum(dim=0)
