"""Keep pruned weights at zero while a model is fine-tuned."""

from __future__ import annotations

import torch

from tvm_sparse.pruning.layers import prunable


class Masks:
    """The zeros of a model's weights, at the time this is made.

    Call `apply` after every optimizer step: momentum and weight decay move zeros too.

    Parameters
    ----------
    model : torch.nn.Module
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._zeros = [(weight, weight.detach() == 0) for weight in prunable(model).values()]

    def apply(self) -> None:
        """Set the weights that were zero to zero again."""
        with torch.no_grad():
            for weight, zeros in self._zeros:
                weight.masked_fill_(zeros, 0.0)

    @property
    def density(self) -> float:
        """Share of the prunable weights that are not zero."""
        total = sum(zeros.numel() for _, zeros in self._zeros)
        return 1 - sum(int(zeros.sum()) for _, zeros in self._zeros) / max(total, 1)
