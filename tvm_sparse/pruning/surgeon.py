"""Optimal Brain Surgeon on the filters of a layer that share their zeros.

Removing the weights B of filters W costs ½ · tr(W_B · (H⁻¹_BB)⁻¹ · W_Bᵀ), once the other weights
have moved by -W_B · (H⁻¹_BB)⁻¹ · H⁻¹_B; after that, H⁻¹ loses its rows and columns B. Doing so with
the cheapest group, again and again, is exact: no approximation but the quadratic one.

Frantar and Alistarh, "Optimal Brain Compression: A Framework for Accurate Post-Training
Quantization and Pruning", NeurIPS 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Trace:
    """In which order the groups of some filters go.

    Parameters
    ----------
    order : int64 tensor of shape (G,)
        The groups, first the one that goes first.
    losses : float64 tensor of shape (G,)
        What each step adds to the squared error, ½ ‖ΔW · X‖².
    forced : int
        So many of the first steps are needed to satisfy the buckets.
    """

    order: Tensor
    losses: Tensor
    forced: int = 0


@dataclass(frozen=True, kw_only=True)
class Buckets:
    """Sets of groups of which some must go (N:M sparsity).

    Parameters
    ----------
    number : int64 tensor of shape (G,)
        The bucket of each group.
    surplus : int64 tensor of shape (buckets,)
        How many groups must leave each bucket.
    """

    number: Tensor
    surplus: Tensor


def trace(weight: Tensor, inverse: Tensor, groups: Tensor, buckets: Buckets | None = None) -> Trace:
    """Remove all groups, one after the other, the cheapest first.

    Parameters
    ----------
    weight : float64 tensor of shape (p, d)
        Filters that share their zeros.
    inverse : float64 tensor of shape (d, d)
        H⁻¹.
    groups : int64 tensor of shape (G, g)
        The weights of each group, each weight in one; -1 where a group has fewer than g.
    buckets : Buckets, optional
        While one has a surplus, only groups of such go.
    """
    w, inv = _arranged(weight, inverse, groups)
    number = len(groups)
    order, losses = [], []
    alive, names = torch.ones(number, dtype=torch.bool), torch.arange(number)
    left = buckets.surplus.clone() if buckets else torch.zeros(1, dtype=torch.int64)
    home = buckets.number if buckets else torch.zeros(number, dtype=torch.int64)
    forced = int(left.sum())
    for step in range(number):
        if 2 * (number - step) <= len(alive):  # most are gone: forget them
            w, inv = w[:, alive], inv[alive][:, :, alive]
            names, home, alive = names[alive], home[alive], alive[alive]
        allowed = alive & (left[home] > 0) if step < forced else alive
        scores = torch.where(allowed, _scores(w, inv), torch.inf)
        chosen = int(scores.argmin())
        order.append(int(names[chosen]))
        losses.append(float(scores[chosen]))
        _remove(w, inv, chosen)
        alive[chosen] = False
        left[home[chosen]] -= 1
    return Trace(
        order=torch.tensor(order),
        losses=torch.tensor(losses, dtype=torch.float64),
        forced=forced,
    )


def _arranged(weight: Tensor, inverse: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Return W as (p, G, g) and H⁻¹ as (G, g, G, g), group by group.

    Where a group has fewer weights, there are zeros that nothing depends on.
    """
    d, (number, size) = len(inverse), groups.shape
    flat = groups.reshape(-1).clone()
    missing = flat < 0
    flat[missing] = 0
    w, inv = weight[:, flat].clone(), inverse[flat][:, flat].clone()
    w[:, missing] = 0
    inv[missing], inv[:, missing] = 0, 0
    inv[missing, missing] = 1
    assert int((~missing).sum()) == d
    return w.reshape(-1, number, size), inv.reshape(number, size, number, size)


def _scores(w: Tensor, inv: Tensor) -> Tensor:
    """Return what removing each group costs, (G,)."""
    blocks = inv.diagonal(dim1=0, dim2=2).permute(2, 0, 1)  # (G, g, g)
    if blocks.shape[1] == 1:
        return 0.5 * w[..., 0].square().sum(dim=0) / blocks[:, 0, 0]
    columns = w.permute(1, 2, 0)  # (G, g, p)
    solved: Tensor = torch.linalg.solve(blocks, columns)
    return 0.5 * (columns * solved).sum(dim=(1, 2))


def _remove(w: Tensor, inv: Tensor, chosen: int) -> None:
    """Remove a group: move the other weights, and downdate H⁻¹, both in place."""
    number, size = w.shape[1:]
    rows = inv[chosen].reshape(size, -1)
    block = inv[chosen, :, chosen]
    solved = torch.linalg.solve(block, rows)  # (g, G · g)
    w.reshape(len(w), -1).addmm_(w[:, chosen].clone(), solved, alpha=-1)
    inv.reshape(number * size, -1).addmm_(rows.T.clone(), solved, alpha=-1)
    w[:, chosen] = 0
    inv[chosen], inv[:, :, chosen] = 0, 0
    inv[chosen, :, chosen] = torch.eye(size, dtype=inv.dtype)
