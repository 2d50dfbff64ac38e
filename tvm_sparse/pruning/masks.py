"""Keep pruned weights at zero while a model is fine-tuned."""

from __future__ import annotations

from typing import Any

import torch

from tvm_sparse.pruning.layers import prunable


class Masks:
    """The zeros of a model's weights, at the time this is made.

    Momentum and weight decay move zeros too. Either `attach` this to the optimizer once, or call
    `apply` after each of its steps.

    Parameters
    ----------
    model : torch.nn.Module

    Examples
    --------
    >>> Masks(model).attach(optimizer)  # doctest: +SKIP
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._zeros = [(weight, weight.detach() == 0) for weight in prunable(model).values()]

    def apply(self) -> None:
        """Set the weights that were zero to zero again."""
        with torch.no_grad():
            for weight, zeros in self._zeros:
                weight.masked_fill_(zeros, 0.0)

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Keep gradients, the optimizer's state (momenta, moments) and the weights at zero there.

        Whatever the optimizer adds up per weight stays zero where the weight is; so a mask that is
        lifted later leaves no momentum behind.
        """
        self._clear(optimizer)
        optimizer.register_step_pre_hook(lambda *_: self._clear_gradients())
        optimizer.register_step_post_hook(lambda *_: self._clear(optimizer))

    @property
    def density(self) -> float:
        """Share of the prunable weights that are not zero."""
        total = sum(zeros.numel() for _, zeros in self._zeros)
        return 1 - sum(int(zeros.sum()) for _, zeros in self._zeros) / max(total, 1)

    def _clear_gradients(self) -> None:
        for weight, zeros in self._zeros:
            if weight.grad is not None:
                weight.grad.masked_fill_(zeros, 0.0)

    def _clear(self, optimizer: torch.optim.Optimizer) -> None:
        self.apply()
        for weight, zeros in self._zeros:
            state: dict[str, Any] = optimizer.state.get(weight, {})
            for value in state.values():
                if isinstance(value, torch.Tensor) and value.shape == weight.shape:
                    value.masked_fill_(zeros, 0.0)
