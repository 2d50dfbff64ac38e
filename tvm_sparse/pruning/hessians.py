"""Second moments of what layers read: the Hessian of a layer's squared error in its weights.

A convolution reads the columns of its im2col matrix X (d, positions), so that its output is W · X
and ½ ‖ΔW · X‖² = ½ ΔW · (X · Xᵀ) · ΔWᵀ. Sums are in float64; the factor 2 is that of Frantar and
Alistarh, "Optimal Brain Compression", NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tvm_sparse.errors import PruningError
from tvm_sparse.pruning.batches import Batches, inputs, run

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


@contextmanager
def watch(
    model: nn.Module, names: Iterable[str], see: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Call `see` with a layer's name and its columns, float64 (groups, d, positions).

    The model is in inference mode meanwhile.
    """
    modes = [(module, module.training) for module in model.modules()]
    hooks = [
        model.get_submodule(name.removesuffix("in_proj").rstrip(".")).register_forward_pre_hook(
            _hook(name, see), with_kwargs=True
        )
        for name in names
    ]
    model.eval()
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training


def check_seen(wanted: Iterable[str], seen: Iterable[str]) -> None:
    """Raise PruningError if a layer is missing among those that were called."""
    called = set(seen)
    for name in wanted:
        if name not in called:
            raise PruningError(
                f"the inputs of layer {name!r} were not seen: the model does not call it as a "
                "module; leave it out of the plan, or prune it by magnitude"
            )


def _hook(name: str, see: Callable[[str, Tensor], None]) -> Callable[..., None]:
    def hook(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        values = (*arguments, *keywords.values())
        if isinstance(module, nn.MultiheadAttention) and values[1] is not values[0]:
            raise PruningError(f"{name} projects a query and another key: give each its own layer")
        see(name, columns(module, values[0].detach()))

    return hook


def columns(module: nn.Module, x: Tensor) -> Tensor:
    """Return the inputs that a layer multiplies with its weights, float64 (groups, d, positions).

    Parameters
    ----------
    module : torch.nn.Module
        A convolution (1-D or 2-D), a linear layer or an attention.
    x : tensor
        Its input.
    """
    if not isinstance(module, nn.Conv1d | nn.Conv2d):
        return x.reshape(1, -1, x.shape[-1]).mT.double()
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    x = nn.functional.pad(x.double(), module._reversed_padding_repeated_twice, mode)
    if isinstance(module, nn.Conv1d):
        x = x[:, :, None]
    window = [(1, *v)[-2:] for v in (module.kernel_size, module.dilation, module.stride)]
    unfolded = nn.functional.unfold(x, window[0], dilation=window[1], stride=window[2])
    n, d, positions = unfolded.shape
    grouped = unfolded.reshape(n, module.groups, d // module.groups, positions)
    return grouped.permute(1, 2, 0, 3).reshape(module.groups, d // module.groups, -1)
