"""Given which weights of a layer stay: the values at which its output changes least."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


def compensate(
    weight: Tensor, keep: Tensor, hessian: Tensor, cross: Tensor | None = None
) -> Tensor:
    """Return the least-squares weights on the kept places, zeros elsewhere.

    Minimizes ‖W · X - W' · X'‖², filter by filter; with X' = X it is what Optimal Brain Surgeon
    arrives at, whatever the order in which it removed the others.

    Parameters
    ----------
    weight : tensor of shape (F, d)
        W; any float dtype, d in the order of the Hessian.
    keep : bool tensor of shape (F, d)
    hessian : float64 tensor of shape (groups, d, d)
        X' · X'ᵀ times any factor, regular; see `ridge`.
    cross : float64 tensor of the same shape, optional
        X · X'ᵀ times the same factor; the Hessian by default.

    Returns
    -------
    tensor of shape (F, d)
        In the weight's dtype.
    """
    out = torch.zeros_like(weight, dtype=torch.float64)
    share = len(weight) // len(hessian)
    for group in range(len(hessian)):
        rows = slice(group * share, (group + 1) * share)
        target = weight[rows].double() @ (hessian if cross is None else cross)[group]
        for members, taps in alike(keep[rows]):
            factor = torch.linalg.cholesky(hessian[group][taps[:, None], taps])
            solved = torch.cholesky_solve(target[members[:, None], taps].T, factor).T
            out[rows][members[:, None], taps] = solved
    return out.to(weight.dtype)


def change(before: Tensor, after: Tensor, hessian: Tensor) -> float:
    """Return ½ ΔW · H · ΔWᵀ, summed over filters: the squared error of the output a position.

    Parameters
    ----------
    before, after : tensors of shape (F, d)
    hessian : float64 tensor of shape (groups, d, d)
    """
    moved = (after - before).double().reshape(len(hessian), -1, hessian.shape[1])
    return float(0.5 * ((moved @ hessian) * moved).sum())


def ridge(hessian: Tensor, damping: float) -> Tensor:
    """Return what must be added to a Hessian so that it can be inverted, of the same shape.

    That is `damping` times its mean diagonal, on the diagonal. Where that leaves a zero (no input
    was ever other than zero), it is one.
    """
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    added = (damping * diagonal.mean(dim=1, keepdim=True)).expand_as(diagonal)
    return torch.diag_embed(torch.where(diagonal + added > 0, added, 1.0))


def alike(keep: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield sets of filters that keep the same taps, and these; filters without taps in none.

    Parameters
    ----------
    keep : bool tensor of shape (F, d)
    """
    _, first, members = np.unique(
        np.packbits(keep.cpu().numpy(), axis=1), axis=0, return_index=True, return_inverse=True
    )
    for number, row in enumerate(first):
        taps = keep[row].nonzero()[:, 0]
        if len(taps):
            yield torch.from_numpy(np.nonzero(members.reshape(-1) == number)[0]), taps
