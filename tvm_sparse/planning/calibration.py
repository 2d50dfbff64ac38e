"""Errors of a torch model on data: of a layer's outputs, or of the whole network's.

Inputs of a layer enter its output's error only through their Gram matrix X Xᵀ: with it, any
number of masks costs no further run of the network.

Frantar & Alistarh, "Optimal Brain Compression", NeurIPS 2022, for errors of layers' outputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tvm_sparse.planning.sensitivity import Errors, kept, removed_magnitude
from tvm_sparse.pruning.layers import prunable
from tvm_sparse.scheme import Scheme

_ROWS = 8192  # inputs of a layer that its Gram matrix is made of, at most


def fingerprint(model: nn.Module, *more: Any) -> str:
    """Return a short name of a model's weights and of tensors or texts."""
    digest = hashlib.sha256()
    for tensor in [*prunable(model).values(), *(one for one in more if one is not None)]:
        value = tensor.detach().cpu().numpy().tobytes() if isinstance(tensor, Tensor) else tensor
        digest.update(value if isinstance(value, bytes) else str(value).encode())
    return digest.hexdigest()[:16]


def output_errors(model: nn.Module, inputs: Tensor, rows: int = _ROWS) -> Errors:
    """Return errors of the layers' outputs: ‖Y − Ŷ‖² / ‖Y‖² on calibration inputs.

    Parameters
    ----------
    model : Module
        Convolutions with 1-D or 2-D windows, linear layers, and self-attention.
    inputs : Tensor
        A batch.
    rows : int
        Input rows of each layer that are looked at, drawn at random.
    """
    grams = _grams(model, inputs, rows)
    weights = {name: weight.detach().cpu() for name, weight in prunable(model).items()}
    free = removed_magnitude({name: weight.numpy() for name, weight in weights.items()})

    def error(name: str, scheme: Scheme) -> float:
        if name not in grams:
            return free(name, scheme)
        weight, gram = weights[name], grams[name]
        removed = torch.where(torch.from_numpy(kept(weight.numpy(), scheme)), 0.0, weight)
        return _energy(removed, gram) / max(_energy(weight, gram), 1e-30)

    return error


def _energy(weight: Tensor, gram: Tensor) -> float:
    """Return the sum of squared outputs of a weight, given X Xᵀ of each group."""
    flat = weight.reshape(len(gram), -1, gram.shape[-1])
    return float(torch.einsum("gft,gts,gfs->", flat, gram, flat))


def _grams(model: nn.Module, inputs: Tensor, rows: int) -> dict[str, Tensor]:
    """Return X Xᵀ of each layer's inputs, shape (groups, taps, taps)."""
    names = {id(weight): name for name, weight in prunable(model).items()}
    found: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(0)

    def note(module: nn.Module, args: tuple[Any, ...], name: str) -> None:
        x = _columns(module, args[0].detach())
        x = x[:, torch.randperm(x.shape[1], generator=generator)[:rows]]
        gram = torch.einsum("grt,grs->gts", x, x) / x.shape[1]
        found[name] = found[name] + gram if name in found else gram

    hooks = []
    for module in model.modules():
        weight = getattr(module, "in_proj_weight", None)
        weight = getattr(module, "weight", None) if weight is None else weight
        if id(weight) in names:
            name = names[id(weight)]
            hooks.append(module.register_forward_pre_hook(lambda m, a, n=name: note(m, a, n)))
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _columns(module: nn.Module, x: Tensor) -> Tensor:
    """Return what each output position reads, shape (groups, positions, taps)."""
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        pad, kernel = module.padding, module.kernel_size
        if isinstance(pad, str):
            total = [d * (k - 1) for d, k in zip(module.dilation, kernel, strict=True)]
            pad = tuple(size // 2 if module.padding == "same" else 0 for size in total)
        window = [tuple(map(int, v)) for v in (kernel, module.dilation, pad, module.stride)]
        if isinstance(module, nn.Conv1d):
            x, window = x.unsqueeze(-2), [(1 - (at == 2), *v) for at, v in enumerate(window)]
        unfolded = nn.functional.unfold(x, *window)
        taps = unfolded.shape[1] // module.groups
        return unfolded.reshape(len(x), module.groups, taps, -1).permute(1, 0, 3, 2).flatten(1, 2)
    return x.reshape(1, -1, x.shape[-1])


class Stitched:
    """A copy of a model whose layers are pruned now so, now so, to see what it answers.

    Batch norm takes its statistics from the batch: those of the dense model fit no longer.

    Parameters
    ----------
    model : Module
    inputs : Tensor
        A calibration batch.
    labels : Tensor, optional
        Classes, shape (batch,); needed for accuracies only.
    """

    def __init__(self, model: nn.Module, inputs: Tensor, labels: Tensor | None = None) -> None:
        from copy import deepcopy

        self._model = deepcopy(model).eval()
        for module in self._model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train()
                module.momentum = 0.0
        self._weights = prunable(self._model)
        self._dense = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self._inputs, self._labels = inputs, labels
        self._zeros: dict[tuple[str, Scheme], Tensor] = {}
        self._pruned: dict[str, Scheme] = {}
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
        """Give each layer its zeros; those that have theirs already are left alone."""
        for name, weight in self._weights.items():
            scheme = schemes.get(name)
            if scheme == self._pruned.get(name):
                continue
            with torch.no_grad():
                weight.copy_(self._dense[name])
                if scheme is not None:
                    weight.masked_fill_(self._mask(name, scheme), 0.0)
            if scheme is None:
                del self._pruned[name]
            else:
                self._pruned[name] = scheme

    def _mask(self, name: str, scheme: Scheme) -> Tensor:
        if (name, scheme) not in self._zeros:
            keep = kept(self._dense[name].cpu().numpy(), scheme)
            self._zeros[name, scheme] = torch.from_numpy(~keep).to(self._dense[name].device)
        return self._zeros[name, scheme]
