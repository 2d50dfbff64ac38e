"""Layers whose filters are put in another order together, so that the model computes the same.

The channels of a tensor have one `Order`: the layers that write them, those that read them, and
what lies between. `tvm_sparse.pruning.channel_flow` finds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(eq=False)
class Order:
    """The channels of some tensors, in one order.

    Parameters
    ----------
    size : int
        The number of channels.
    writers : list of str
        Layers whose filters these are.
    readers : list of str
        Layers whose input channels these are; a linear layer may read several features of each.
    between : list of str
        Batch norms, depthwise convolutions and the like, with a parameter a channel.
    fixed : bool
        Whether the order matters to something else.
    """

    size: int
    writers: list[str] = field(default_factory=list)
    readers: list[str] = field(default_factory=list)
    between: list[str] = field(default_factory=list)
    fixed: bool = False
    joined: Order | None = None

    def root(self) -> Order:
        """Return the order that this one was joined to."""
        return self.joined.root() if self.joined else self


def permute(model: nn.Module, order: Order, permutation: Tensor) -> None:
    """Put channels in another order, in place: ``new[i] = old[permutation[i]]`` everywhere."""
    with torch.no_grad():
        for name in order.writers + order.between:
            module = model.get_submodule(name)
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                if tensor.dim() and len(tensor) == order.size:
                    tensor.copy_(tensor[permutation])
        for name in order.readers:
            weight = model.get_submodule(name).weight
            assert isinstance(weight, Tensor)
            parts = weight.reshape(len(weight), order.size, -1)
            weight.copy_(parts[:, permutation].reshape(weight.shape))


def unite(first: Order, other: Order) -> None:
    """Make one order of two."""
    if first is other:
        return
    first.writers += other.writers
    first.readers += other.readers
    first.between += other.between
    first.fixed |= other.fixed
    other.joined = first
