"""Errors of a torch model on data: of a layer's outputs, or of the whole network's.

Inputs of a layer enter its output's error only through its Hessian X Xᵀ: with it, any number of
masks costs no further run of the network.

Frantar & Alistarh, "Optimal Brain Compression", NeurIPS 2022, for errors of layers' outputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from tvm_sparse.planning import activations
from tvm_sparse.planning.pruned import Pruned
from tvm_sparse.planning.sensitivity import Errors
from tvm_sparse.precision import Precision, needs_samples
from tvm_sparse.pruning.compensate import change
from tvm_sparse.pruning.hessians import Hessians, collect
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.scheme import Scheme


def fingerprint(model: nn.Module, *more: Any) -> str:
    """Return a short name of a model's weights and of tensors or texts."""
    digest = hashlib.sha256()
    for tensor in [*prunable(model).values(), *(one for one in more if one is not None)]:
        value = tensor.detach().cpu().numpy().tobytes() if isinstance(tensor, Tensor) else tensor
        digest.update(value if isinstance(value, bytes) else str(value).encode())
    return digest.hexdigest()[:16]


def output_errors(
    model: nn.Module,
    data: Tensor,
    names: Iterable[str],
    pruned: Pruned | None = None,
    hessians: Hessians | None = None,
) -> Errors:
    """Return errors of the layers' outputs: ‖Y − Ŷ‖² / ‖Y‖² on calibration inputs.

    Rounding what an int8 layer reads adds an error of variance step² / 12 to all but zeros.

    Parameters
    ----------
    model : Module
    data : Tensor
        A batch of inputs.
    names : iterable of str
        The layers.
    pruned : Pruned, optional
        What is left of weights; by default, magnitude pruning leaves it.
    hessians : mapping of str to tensor, optional
        Of these layers on the data, where they are known.
    """
    hessians = collect(model, names, [data]) if hessians is None else hessians
    read = activations.ranges(model, data)
    left = Pruned(weights(model)) if pruned is None else pruned

    @cache
    def whole(name: str) -> float:
        return change(torch.zeros_like(left.dense[name]), left.dense[name], hessians[name])

    def error(name: str, scheme: Scheme) -> float:
        pruned = left(name, scheme)
        lost = change(left.dense[name], pruned, hessians[name])
        if needs_samples(Precision.parse(scheme)) and name in read:
            lost += float(pruned.double().square().sum()) * read[name].noise(scheme.bits)
        return lost / max(whole(name), 1e-30)

    return error


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of all layers: those that cannot be pruned may be rounded."""
    found = {name: module.weight for name, module in activations.layers(model).items()}
    return {**found, **prunable(model)}


class Stitched:
    """A copy of a model whose layers are pruned and rounded now so, now so, to see its answers.

    Batch norm takes its statistics from the batch: those of the dense model fit no longer.

    Parameters
    ----------
    model : Module
    inputs : Tensor
        A calibration batch.
    labels : Tensor, optional
        Classes, shape (batch,); needed for accuracies only.
    pruned : Pruned, optional
        What is left of weights; by default, magnitude pruning leaves it.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Tensor,
        labels: Tensor | None = None,
        pruned: Pruned | None = None,
    ) -> None:
        from copy import deepcopy

        self._model = deepcopy(model).eval()
        for module in self._model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train()
                module.momentum = 0.0
        self._weights = weights(self._model)
        self._left = Pruned(self._weights) if pruned is None else pruned
        self._inputs, self._labels = inputs, labels
        self._now: dict[str, Scheme] = {}
        read = activations.ranges(model, inputs)
        activations.round_inputs(self._model, read, self._now)
        self._expected = self._answer()

    def loss(self, schemes: Mapping[str, Scheme]) -> float:
        """Return by how much outputs are off: ‖Y − Ŷ‖² / ‖Y‖² of the network's outputs."""
        self._prune(schemes)
        expected = self._expected
        return float((self._answer() - expected).square().sum() / expected.square().sum())

    def error(self, name: str, scheme: Scheme) -> float:
        """Return the loss where one layer is pruned alone."""
        return self.loss({name: scheme})

    def accuracy(self, schemes: Mapping[str, Scheme]) -> float:
        """Return the share of labels that are predicted; labels are needed."""
        assert self._labels is not None
        self._prune(schemes)
        return float((self._answer().argmax(1) == self._labels).float().mean())

    def _answer(self) -> Tensor:
        with torch.inference_mode():
            found: Tensor = self._model(self._inputs)
        return found

    def _prune(self, schemes: Mapping[str, Scheme]) -> None:
        """Give each layer its weights; those that have theirs already are left alone."""
        for name, weight in self._weights.items():
            scheme = schemes.get(name)
            if scheme == self._now.get(name):
                continue
            left = self._left
            with torch.no_grad():
                weight.copy_(left.dense[name] if scheme is None else left(name, scheme))
            if scheme is None:
                del self._now[name]
            else:
                self._now[name] = scheme
