"""Spell the modules that torch quantizes while they run as float modules between other operators.

Before::

    (fc): quantized.dynamic.Linear(64, 10)

After::

    (fc): x → linear(dequantize(quantize(x, s, z)), dequantize(w), bias), with s, z = choose(x)

Scales come from the least and the greatest value of all of ``x``, and 0, as torch chooses them.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from tvm_sparse.errors import ModelError

_HOMES = ("torch.ao.nn.quantized.dynamic.", "torch.ao.nn.intrinsic.quantized.dynamic.")
_LINEAR = ("Linear", "LinearReLU")
_LEAST = torch.finfo(torch.float32).eps  # of a scale
_HALF_RANGE, _RANGE = 127, 255  # the greatest byte of activations, by their module's version
_WHOLE_BYTES = 4  # the first version of modules that leave a bit of activations unused


def spell_dynamic(model: nn.Module) -> nn.Module:
    """Return a copy of a model without modules that are quantized dynamically; or the model.

    Raises
    ------
    ModelError
        If a module that quantizes what it reads is no linear layer.
    """
    found = [name for name, module in model.named_modules() if _is_dynamic(module)]
    if not found:
        return model
    if "" in found:
        return _spelled("the model", model)
    spelled = copy.deepcopy(model)
    for name in found:
        parent, _, last = name.rpartition(".")
        new = _spelled(name, spelled.get_submodule(name))
        setattr(spelled.get_submodule(parent), last, new)
    return spelled


def operators() -> Any:
    """Return torch's operators that quantized programs are made of."""
    return torch.ops.quantized_decomposed


class Filters(nn.Module):
    """Weights of signed bytes, with a scale and a zero point for each filter.

    Parameters
    ----------
    weight : Tensor
        Quantized by torch.
    """

    weight: Tensor
    scale: Tensor
    zero: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        each = weight.qscheme() in (torch.per_channel_affine, torch.per_channel_symmetric)
        scale = weight.q_per_channel_scales() if each else torch.tensor([weight.q_scale()])
        zero = weight.q_per_channel_zero_points() if each else torch.tensor([weight.q_zero_point()])
        self.register_buffer("weight", weight.int_repr())
        self.register_buffer("scale", scale.float().expand(len(weight)).contiguous())
        self.register_buffer("zero", zero.long().expand(len(weight)).contiguous())

    def forward(self) -> Tensor:
        """Return the weights as floats."""
        given = (self.weight, self.scale, self.zero, 0, -128, 127, torch.int8)
        weight: Tensor = operators().dequantize_per_channel(*given)
        return weight


class _Linear(nn.Module):
    """A linear layer of bytes whose scale is chosen for each input."""

    bias: Tensor | None

    def __init__(self, old: Any) -> None:
        super().__init__()
        bias = old.bias()
        self.filters = Filters(old.weight())
        self.register_buffer("bias", None if bias is None else bias.detach())
        self.most = _RANGE if (old.version or 0) < _WHOLE_BYTES else _HALF_RANGE

    def forward(self, x: Tensor) -> Tensor:
        ops, ends = operators(), (0, self.most, torch.uint8)
        scale, zero = ops.choose_qparams.tensor(x, *ends[:2], _LEAST, ends[2])
        q = ops.quantize_per_tensor.tensor(x, scale, zero, *ends)
        real = ops.dequantize_per_tensor.tensor(q, scale, zero, *ends)
        return nn.functional.linear(real, self.filters(), self.bias)


class _Halves(nn.Module):
    """A linear layer whose weights were rounded to sixteen bits."""

    def __init__(self, old: Any) -> None:
        super().__init__()
        bias = old.bias()
        self.weight = nn.Parameter(old.weight().half().float(), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight, self.bias)


def _is_dynamic(module: nn.Module) -> bool:
    return type(module).__module__.startswith(_HOMES)


def _spelled(name: str, old: Any) -> nn.Module:
    kind = type(old).__name__
    if kind not in _LINEAR:
        raise ModelError(
            f"{name} is a quantized.dynamic.{kind}, which cannot be compiled; of the modules that "
            f"are quantized while they run, {' and '.join(_LINEAR)} can: leave {name} in float, "
            "or use ts.quantize"
        )
    quantized = old._packed_params.dtype == torch.qint8
    layer: nn.Module = _Linear(old) if quantized else _Halves(old)
    return nn.Sequential(layer, nn.ReLU()) if kind == "LinearReLU" else layer
