"""Optimal Brain Quantizer: round weights one after the other, while the others make up for it.

Frantar and Alistarh, "Optimal Brain Compression", NeurIPS 2022. Of each filter, the weight goes
first that costs least to round; those that would be rounded by more than half a step, because they
have drifted out of the grid, go before all others.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SHRINK = 0.2  # the grid may end at so much less than the largest weight
_TRIED = 21


def quantize(weight: Tensor, keep: Tensor, hessian: Tensor, bits: int) -> Tensor:
    """Return weights on one symmetric grid a filter; what is not kept stays zero.

    Parameters
    ----------
    weight : float64 tensor of shape (F, d)
    keep : bool tensor of shape (F, d)
        The weights that may be other than zero.
    hessian : float64 tensor of shape (groups, d, d)
        Regular.
    bits : int
        From 2; a grid has 2ᵇ - 1 values.

    Returns
    -------
    float64 tensor of shape (F, d)
    """
    out = torch.zeros_like(weight)
    scales = grid(weight, bits)
    share = len(weight) // len(hessian)
    for row in range(len(weight)):
        taps = keep[row].nonzero()[:, 0]
        if len(taps):
            inverse = torch.linalg.inv(hessian[row // share][taps[:, None], taps])
            out[row, taps] = _rounded(weight[row, taps], inverse, float(scales[row]), bits)
    return out


def grid(weight: Tensor, bits: int) -> Tensor:
    """Return the step of each filter's grid, (F,): of some, the one with the least squared error.

    A filter of zeros gets a step of one.
    """
    largest = weight.abs().amax(dim=1)
    largest = torch.where(largest > 0, largest, steps(bits))
    tried = torch.linspace(1 - _SHRINK, 1, _TRIED, dtype=weight.dtype)
    scales = tried * largest[:, None] / steps(bits)
    errors = torch.stack(
        [
            (nearest(weight, scale[:, None], bits) - weight).square().sum(dim=1)
            for scale in scales.unbind(1)
        ],
        dim=1,
    )
    return scales.gather(1, errors.argmin(dim=1, keepdim=True))[:, 0]


def steps(bits: int) -> float:
    """Return how many steps a grid has on either side of zero."""
    return float(2 ** (bits - 1) - 1)


def nearest(weight: Tensor, scale: Tensor | float, bits: int) -> Tensor:
    """Return the nearest values of a grid."""
    top = steps(bits)
    return (weight / scale).round().clamp(-top, top) * scale


def _rounded(row: Tensor, inverse: Tensor, scale: float, bits: int) -> Tensor:
    """Round the weights of one filter (n,) with H⁻¹ (n, n)."""
    w, inv, out = row.clone(), inverse.clone(), row.clone()
    left = torch.ones(len(row), dtype=torch.bool)
    for _ in range(len(row)):
        error = nearest(w, scale, bits) - w
        costs = torch.where(left, error.square() / inv.diagonal(), torch.inf)
        outside = left & (error.abs() > scale / 2 * (1 + 1e-9))
        chosen = int((error.abs() * outside).argmax() if outside.any() else costs.argmin())
        out[chosen] = w[chosen] + error[chosen]
        solved = inv[chosen] / inv[chosen, chosen]
        w += error[chosen] * solved
        inv.addr_(inv[chosen].clone(), solved, alpha=-1)
        inv[chosen], inv[:, chosen] = 0, 0
        inv[chosen, chosen] = 1
        left[chosen] = False
    return out
