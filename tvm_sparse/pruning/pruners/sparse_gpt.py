"""Prune a layer in one sweep over its columns, for layers that exact OBS is too slow for.

Every column is decided on once, from the left; the error of what is removed (or rounded) goes to
the columns right of it, by the rows of the upper Cholesky factor of H⁻¹. Masks are chosen for a
slice of channels at a time, by w² / U_jj² of the weights as they are by then; formats that must see
the whole weight (filters, periodic and kernel patterns, regrouped filters) choose before the sweep.
Made for linear layers; convolutions go as their im2col matrix.

Frantar and Alistarh, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot",
ICML 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tvm_sparse import formats
from tvm_sparse.pruning import calibrated
from tvm_sparse.pruning.batch_norm import re_estimate
from tvm_sparse.pruning.batches import Batches
from tvm_sparse.pruning.pruners.magnitude import mask
from tvm_sparse.pruning.quantize import grid, nearest
from tvm_sparse.scheme import Scheme

FITS = True


def prune(
    model: torch.nn.Module,
    schemes: Mapping[str, Scheme],
    *,
    data: Batches,
    damping: float = 1e-2,
    sequential: bool = True,
    columns: int = 128,
) -> None:
    """Prune the named layers in place; those of fewer than 32 bits are rounded on the way.

    Parameters
    ----------
    model : torch.nn.Module
    schemes : mapping of str to Scheme
    data : batches
        Calibration inputs.
    damping : float
        What is added to the diagonal of each Hessian, as a share of its mean.
    sequential : bool
        Whether each layer is fitted to the dense model's outputs, given what it reads by then;
        otherwise all layers are calibrated on the model as it came.
    columns : int
        About how many columns a mask is chosen for at once.

    Raises
    ------
    PruningError
        If a layer's inputs cannot be seen.
    """
    for layer in calibrated.layers(model, schemes, data, damping, sequential):
        layer.write(compressed(layer.target, layer.hessian, schemes[layer.name], columns))
    re_estimate(model, data)


@dataclass
class _Sweep:
    """A layer in the middle of its sweep."""

    weight: Tensor  # (F, d), float64
    factor: Tensor  # (groups, d, d), upper
    shape: tuple[int, ...]
    scheme: Scheme
    scales: Tensor  # (F, 1)

    def of_filter(self, rows: Tensor) -> Tensor:
        """Repeat what there is for each conv group for its filters, if there are several groups."""
        if len(self.factor) == 1:
            return rows
        return rows.repeat_interleave(len(self.weight) // len(self.factor), dim=0)

    def chosen(self, begin: int, end: int) -> Tensor:
        """Return which weights stay of columns that hold whole channels, (F, end - begin)."""
        diagonal = self.of_filter(self.factor.diagonal(dim1=1, dim2=2))[:, begin:end]
        scores = (self.weight[:, begin:end] / diagonal).square()
        shaped = scores.reshape(self.shape[0], -1, *self.shape[2:]).numpy()
        return torch.from_numpy(mask(shaped, self.scheme)).reshape(scores.shape)

    def decide(self, begin: int, end: int, keep: Tensor) -> None:
        """Remove or round columns, the later ones make up for it; those right of `end` at once."""
        errors = torch.zeros_like(self.weight[:, begin:end])
        for column in range(begin, end):
            factor = self.of_filter(self.factor[:, column])  # (F, d)
            old = self.weight[:, column].clone()
            new = torch.where(keep[:, column - begin], self._rounded(old), 0.0)
            error = (old - new) / factor[:, column]
            self.weight[:, column + 1 : end] -= error[:, None] * factor[:, column + 1 : end]
            self.weight[:, column] = new
            errors[:, column - begin] = error
        share = len(self.weight) // len(self.factor)
        moved = errors.reshape(len(self.factor), share, -1) @ self.factor[:, begin:end, end:]
        self.weight[:, end:] -= moved.reshape(len(self.weight), -1)

    def _rounded(self, values: Tensor) -> Tensor:
        if self.scheme.bits >= 32:
            return values
        return nearest(values, self.scales[:, 0], self.scheme.bits)


def compressed(weight: Tensor, hessian: Tensor, scheme: Scheme, columns: int = 128) -> Tensor:
    """Return the weight of a layer as a scheme leaves it.

    Parameters
    ----------
    weight : tensor of shape (F, C / groups, …)
    hessian : float64 tensor of shape (groups, d, d)
        Regular.
    scheme : Scheme
    columns : int
    """
    shape = tuple(weight.shape)
    matrix = weight.reshape(shape[0], -1).double().clone()
    factor = torch.linalg.cholesky(torch.linalg.inv(hessian), upper=True)
    bits = min(scheme.bits, 32)
    scales = grid(matrix, bits) if bits < 32 else torch.ones(len(matrix))
    sweep = _Sweep(matrix, factor, shape, scheme, scales[:, None])
    for begin, end, keep in _slices(sweep, columns):
        sweep.decide(begin, end, keep)
    return sweep.weight.reshape(shape).to(weight.dtype)


def _slices(sweep: _Sweep, columns: int) -> Iterator[tuple[int, int, Tensor]]:
    """Yield where slices of columns begin and end, and what is kept of each when its turn comes."""
    filters, channels, d = sweep.shape[0], sweep.shape[1], sweep.weight.shape[1]
    taps = d // channels
    step = formats.get(sweep.scheme.format).channel_step(sweep.shape, sweep.scheme.block)
    whole = sweep.chosen(0, d) if step >= channels else torch.zeros(filters, 0)
    width = max(columns // taps // step, 1) * step * taps if step < channels else columns
    for begin in range(0, d, width):
        end = min(begin + width, d)
        yield begin, end, whole[:, begin:end] if step >= channels else sweep.chosen(begin, end)
