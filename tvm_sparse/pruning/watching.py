"""See what layers read while a model runs, as the matrices that their weights multiply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tvm_sparse.errors import PruningError


@contextmanager
def watch(
    model: nn.Module, names: Iterable[str], see: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Call `see` with a layer's name and its columns, float64 (groups, d, positions).

    The model is in inference mode meanwhile.
    """
    modes = [(module, module.training) for module in model.modules()]
    modules = dict(model.named_modules())
    hooks = [
        _owner(modules, name).register_forward_pre_hook(_hook(modules, name, see), with_kwargs=True)
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


def _owner(modules: Mapping[str, nn.Module], name: str) -> nn.Module:
    """Return the module whose call multiplies with a layer's weights."""
    parent = modules.get(name.rpartition(".")[0])
    return parent if isinstance(parent, nn.MultiheadAttention) else modules[name]


def _hook(
    modules: Mapping[str, nn.Module], name: str, see: Callable[[str, Tensor], None]
) -> Callable[..., None]:
    def hook(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        values = (*arguments, *keywords.values())
        x = values[0].detach()
        if isinstance(module, nn.MultiheadAttention):
            if name in modules:
                x = _attended(module, arguments, keywords)
            elif values[1] is not values[0]:
                raise PruningError(
                    f"{name} projects a query and another key: give each a layer of its own"
                )
        see(name, columns(module, x))

    return hook


def _attended(
    module: nn.MultiheadAttention, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> Tensor:
    """Return what an attention gives to its output projection, which it does not call."""
    weight, bias = module.out_proj.weight, module.out_proj.bias
    before = weight.data, None if bias is None else bias.data
    weight.data = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
    if bias is not None:
        bias.data = torch.zeros_like(bias)
    try:
        found: Tensor = module.forward(*arguments, **keywords)[0]
    finally:
        weight.data = before[0]
        if bias is not None:
            bias.data = before[1]
    return found.detach()


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
