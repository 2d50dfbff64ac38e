"""Go through layers with what each should compute of what it reads, to fit their weights."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tvm_sparse.pruning import hessians
from tvm_sparse.pruning.batches import Batches
from tvm_sparse.pruning.compensate import compensate, ridge
from tvm_sparse.pruning.layers import prunable


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A layer, and the quadratic error of its outputs.

    Parameters
    ----------
    name : str
    weight : torch.nn.Parameter
        What the model computes with; to be written to.
    target : tensor of the weight's shape
        On the CPU. The error of weights W' is ½ · ΔW · H · ΔWᵀ with ΔW = W' - target, and what no
        weights can mend.
    hessian : float64 tensor of shape (groups, d, d)
        H, regular.
    """

    name: str
    weight: Tensor
    target: Tensor
    hessian: Tensor

    def write(self, values: Tensor) -> None:
        """Give the layer other weights."""
        with torch.no_grad():
            self.weight.copy_(values.reshape(self.weight.shape))


def layers(
    model: nn.Module, names: Collection[str], data: Batches, damping: float, sequential: bool
) -> Iterator[Calibrated]:
    """Yield the named layers in the model's order.

    Parameters
    ----------
    model : torch.nn.Module
        What was written to one layer is what the next one reads, if `sequential`.
    names : collection of str
    data : batches
    damping : float
        How much weights are drawn to the old ones, as a share of the mean of H's diagonal.
    sequential : bool
        Whether each layer is fitted to the first model's outputs on what it reads by then: W' · X'
        shall be W · X. Otherwise, to what it computes of the first model's inputs.

    Raises
    ------
    PruningError
        If there is no data, or a layer's inputs cannot be seen.
    """
    weights = {name: weight for name, weight in prunable(model).items() if name in names}
    if not sequential:
        found = hessians.collect(model, names, data)
        for name, weight in weights.items():
            hessian = found[name] + ridge(found[name], damping)
            target = weight.detach().cpu().clone()
            yield Calibrated(name=name, weight=weight, target=target, hessian=hessian)
        return
    first = copy.deepcopy(model)
    for name, weight in weights.items():
        hessian, cross = hessians.collect_pair(first, model, name, data)
        added = ridge(hessian, damping)
        matrix = weight.detach().cpu().reshape(len(weight), -1)
        every = torch.ones(matrix.shape, dtype=torch.bool)
        target = compensate(matrix, every, hessian + added, cross + added).reshape(weight.shape)
        yield Calibrated(name=name, weight=weight, target=target, hessian=hessian + added)
