"""Which layers of a torch model can be pruned, and which scheme each gets."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tvm_sparse import formats
from tvm_sparse.errors import FormatError
from tvm_sparse.scheme import Scheme


def prunable(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights of convolutions and linear layers by layer, depthwise ones left out.

    The joint projection of a `MultiheadAttention` is its layer ``in_proj``.
    """
    found: dict[str, torch.Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            found[name] = module.weight
        elif isinstance(module, torch.nn.Conv1d | torch.nn.Conv2d) and module.weight.shape[1] > 1:
            found[name] = module.weight
        elif isinstance(module, torch.nn.MultiheadAttention) and module.in_proj_weight is not None:
            found[f"{name}.in_proj".lstrip(".")] = module.in_proj_weight
    return found


def resolve(
    model: torch.nn.Module, plan: str | Scheme | Mapping[str, str | Scheme]
) -> dict[str, Scheme]:
    """Return the scheme of each layer that is to be pruned.

    Raises
    ------
    FormatError
        If a scheme cannot be read, names an unknown format or suits no layer, or if a layer does
        not exist.
    """
    layers = prunable(model)
    if isinstance(plan, Mapping):
        schemes = {name: _scheme(scheme) for name, scheme in plan.items()}
    else:
        inner = list(layers)[1:-1]  # the first layer reads pixels, the last one writes the answer
        schemes = _suited(_scheme(plan), {name: layers[name] for name in inner})
    for name in schemes:
        if name not in layers:
            raise FormatError(
                f"no prunable layer {name!r}; expected one of {', '.join(layers) or 'none'}"
            )
    return schemes


def _suited(scheme: Scheme, layers: Mapping[str, torch.Tensor]) -> dict[str, Scheme]:
    """Return the scheme for each layer that it suits.

    Raises
    ------
    FormatError
        If it suits none of them.
    """
    form = formats.get(scheme.format)
    suited = {
        name: scheme
        for name, weight in layers.items()
        if form.suits(tuple(weight.shape), scheme.block)
    }
    if layers and not suited:
        name, weight = next(iter(layers.items()))
        form.check(tuple(weight.shape), scheme.block)
        raise FormatError(f"{scheme} suits no layer, e.g. not {name} of {tuple(weight.shape)}")
    return suited


def _scheme(scheme: str | Scheme) -> Scheme:
    found = Scheme.parse(scheme) if isinstance(scheme, str) else scheme
    formats.get(found.format)
    return found
