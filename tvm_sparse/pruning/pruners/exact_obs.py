"""Prune with exact Optimal Brain Surgeon, then quantize what is left (OBC).

Boxes of a format go one after the other, each time the one that changes the layer's output least,
while the weights that are left make up for it. Filters that share their zeros share an inverse
Hessian; each set of them is traced until nothing is left, and one threshold on the losses says how
far each set goes. N:M zeros come bucket by bucket. Formats whose zeros depend on the weights
(kernel patterns, regrouped filters) choose them once, by w² / [H⁻¹]_jj, before the others make up.

Frantar and Alistarh, "Optimal Brain Compression: A Framework for Accurate Post-Training
Quantization and Pruning", NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tvm_sparse import formats
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.pruning import calibrated
from tvm_sparse.pruning.batch_norm import re_estimate
from tvm_sparse.pruning.batches import Batches
from tvm_sparse.pruning.compensate import compensate
from tvm_sparse.pruning.pruners.magnitude import mask
from tvm_sparse.pruning.quantize import quantize
from tvm_sparse.pruning.surgeon import Buckets, Trace, trace
from tvm_sparse.scheme import Scheme

FITS = True

_CHOSEN_AT_ONCE = ("pattern", "regrouped")


def prune(
    model: torch.nn.Module,
    schemes: Mapping[str, Scheme],
    *,
    data: Batches,
    damping: float = 1e-3,
    sequential: bool = True,
) -> None:
    """Prune the named layers in place; those of fewer than 32 bits are quantized too.

    At the end, batch norms are re-estimated.

    Parameters
    ----------
    model : torch.nn.Module
    schemes : mapping of str to Scheme
    data : batches
        Calibration inputs, a few hundred images.
    damping : float
        What is added to the diagonal of each Hessian, as a share of its mean.
    sequential : bool
        Whether each layer is fitted to the dense model's outputs, given what it reads by then;
        otherwise all layers are calibrated on the model as it came.

    Raises
    ------
    PruningError
        If a layer's inputs cannot be seen.
    """
    for layer in calibrated.layers(model, schemes, data, damping, sequential):
        layer.write(compressed(layer.target, layer.hessian, schemes[layer.name]))
    re_estimate(model, data)


def compressed(weight: Tensor, hessian: Tensor, scheme: Scheme) -> Tensor:
    """Return the weight of a layer as a scheme leaves it.

    Parameters
    ----------
    weight : tensor of shape (F, C / groups, …)
    hessian : float64 tensor of shape (groups, d, d)
        Regular.
    scheme : Scheme
    """
    keep = torch.from_numpy(mask(scores(weight, hessian, scheme), scheme))
    matrix, taps = weight.reshape(len(weight), -1).double(), keep.reshape(len(weight), -1)
    if not taps.all():
        matrix = compensate(matrix, taps, hessian)
    if scheme.bits < 32:
        matrix = quantize(matrix, taps, hessian, scheme.bits)
    return matrix.reshape(weight.shape).to(weight.dtype)


def scores(weight: Tensor, hessian: Tensor, scheme: Scheme) -> Weight:
    """Return the importance of each weight: the later its group would go, the higher.

    Parameters and errors are those of `compressed`.
    """
    inverse = torch.linalg.inv(hessian)
    matrix = weight.reshape(len(weight), -1).double()
    if scheme.format in _CHOSEN_AT_ONCE:
        return np.asarray(_saliency(matrix, inverse).reshape(weight.shape).numpy())
    form = formats.get(scheme.format)
    labels = form.groups(tuple(weight.shape), scheme.block).reshape(matrix.shape)
    sets = list(_sets(labels))
    share = len(weight) // len(inverse)
    traces = []
    for rows, groups in sets:
        own = inverse[torch.unique(rows // share)].mean(
            dim=0
        )  # of several conv groups, a compromise
        traces.append(trace(matrix[rows], own, groups, _buckets(weight, scheme)))
    return _ranked(sets, traces, matrix.shape).reshape(weight.shape)


def _saliency(matrix: Tensor, inverse: Tensor) -> Tensor:
    diagonal = inverse.diagonal(dim1=1, dim2=2).repeat_interleave(len(matrix) // len(inverse), 0)
    return matrix.square() / diagonal


def _sets(labels: npt.NDArray[np.integer]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the filters that share their groups, and these as (G, g), filled up with -1."""
    _, first, members = np.unique(labels, axis=0, return_index=True, return_inverse=True)
    for number, row in enumerate(first):
        _, group, sizes = np.unique(labels[row], return_inverse=True, return_counts=True)
        ranked = np.argsort(group, kind="stable")
        begins = np.cumsum(sizes) - sizes
        groups = np.full((len(sizes), sizes.max()), -1, np.int64)
        groups[group[ranked], np.arange(len(ranked)) - begins[group[ranked]]] = ranked
        yield (
            torch.from_numpy(np.nonzero(members.reshape(-1) == number)[0]),
            torch.from_numpy(groups),
        )


def _buckets(weight: Tensor, scheme: Scheme) -> Buckets | None:
    """Return which channels share a bucket at a kernel position, for N:M."""
    if scheme.format != "nm":
        return None
    n, m = scheme.block
    channels, positions = weight.shape[1], weight[0, 0].numel()
    tap = torch.arange(channels * positions)
    number = tap // positions // m * positions + tap % positions
    return Buckets(number=number, surplus=(torch.bincount(number) - n).clamp(min=0))


def _ranked(
    sets: list[tuple[Tensor, Tensor]], traces: list[Trace], shape: torch.Size
) -> npt.NDArray[np.int64]:
    """Return the rank of each weight among all that go: by loss, but in order within a set."""
    forced = np.concatenate([np.arange(len(t.order)) >= t.forced for t in traces])
    losses = np.concatenate([_rising(t).numpy() for t in traces])
    steps = np.concatenate([np.arange(len(t.order)) for t in traces])
    rank = np.empty(len(losses), np.int64)
    rank[np.lexsort((steps, losses, forced))] = np.arange(len(losses))
    out, begin = np.zeros(shape, np.int64), 0
    for (rows, groups), found in zip(sets, traces, strict=True):
        value = np.empty(len(groups), np.int64)
        value[found.order.numpy()] = rank[begin : begin + len(groups)]
        begin += len(groups)
        taps = groups.numpy()
        row = np.empty(shape[1], np.int64)
        row[taps[taps >= 0]] = np.broadcast_to(value[:, None], taps.shape)[taps >= 0]
        out[rows.numpy()] = row
    return out


def _rising(found: Trace) -> Tensor:
    """Return the losses, none less than one before it."""
    parts = (found.losses[: found.forced], found.losses[found.forced :])
    return torch.cat([part.cummax(0).values if len(part) else part for part in parts])
