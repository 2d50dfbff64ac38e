"""Second moments of what layers read: the Hessian of a layer's squared error in its weights.

A convolution reads the columns of its im2col matrix X (d, positions), so that its output is W · X
and ½ ‖ΔW · X‖² = ½ ΔW · (X · Xᵀ) · ΔWᵀ. Sums are in float64; the factor 2 is that of Frantar and
Alistarh, "Optimal Brain Compression", NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tvm_sparse.pruning.batches import Batches, inputs, run
from tvm_sparse.pruning.watching import check_seen, watch

Hessians = dict[str, Tensor]
"""A float64 tensor (groups, d, d) on the CPU for each layer; d = C / groups · Kh · Kw, in the
weight's order."""


def collect(model: nn.Module, names: Iterable[str], data: Batches) -> Hessians:
    """Return 2 · X · Xᵀ / positions of the named layers' inputs, in inference mode.

    Parameters
    ----------
    model : torch.nn.Module
    names : iterable of str
        Layers as `tvm_sparse.pruning.layers.prunable` names them.
    data : batches

    Raises
    ------
    PruningError
        If there is no data, or a layer was never called.
    """
    sums: Hessians = {}
    counts: dict[str, int] = {}

    def see(name: str, x: Tensor) -> None:
        product = 2 * (x @ x.mT)
        sums[name] = sums[name] + product if name in sums else product
        counts[name] = counts.get(name, 0) + x.shape[2]

    wanted = list(names)
    with watch(model, wanted, see):
        run(model, data)
    check_seen(wanted, sums)
    return {name: (sums[name] / counts[name]).cpu() for name in wanted}


def collect_pair(
    model: nn.Module, changed: nn.Module, name: str, data: Batches
) -> tuple[Tensor, Tensor]:
    """Return 2 · X' · X'ᵀ and 2 · X · X'ᵀ of a layer, both over the positions.

    X is what it reads in the model, X' what it reads in the changed one. Shapes, dtype and errors
    are those of `collect`.
    """
    seen: list[Tensor] = []
    hessian, cross, count = torch.zeros(()), torch.zeros(()), 0
    with (
        watch(model, [name], lambda _, x: seen.append(x)),
        watch(changed, [name], lambda _, x: seen.append(x)),
        torch.no_grad(),
    ):
        for arguments in inputs(data):
            seen.clear()
            model(*arguments)
            calls = len(seen)
            changed(*arguments)
            for x, y in zip(seen[:calls], seen[calls:], strict=True):
                hessian, cross = hessian + 2 * (y @ y.mT), cross + 2 * (x @ y.mT)
                count += x.shape[2]
    check_seen([name], [name] if count else [])
    return (hessian / count).cpu(), (cross / count).cpu()
