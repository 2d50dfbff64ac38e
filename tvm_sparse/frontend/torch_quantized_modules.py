"""Spell torch's quantized modules as float modules between quantization and dequantization.

Before, as ``torch.ao.quantization.convert`` leaves a model, with tensors of bytes between modules::

    (quant): Quantize(scale, zero)   (conv): quantized.ConvReLU2d(3, 8, …)   (dequant): DeQuantize()

After, with floats between modules::

    (quant): x → dequantize(quantize(x, scale, zero))
    (conv):  x → dequantize(quantize(relu(conv2d(x, dequantize(w), bias)), scale', zero'))
    (dequant): x → x

Modules of ``quantized.dynamic``, as ``torch.ao.quantization.quantize_dynamic`` makes them, choose
their scale when they run, and read and give floats::

    (fc): quantized.dynamic.Linear(64, 10)

    (fc): x → linear(dequantize(quantize(x, choose(x))), dequantize(w), bias)

The operators are those of quantized exported programs, see
`tvm_sparse.frontend.torch_quantized_programs`. Which bytes stand between the modules, is seen in
one run of the model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tvm_sparse.errors import ModelError
from tvm_sparse.frontend.torch_dynamic_modules import Filters, operators, spell_dynamic
from tvm_sparse.frontend.torch_quantized_programs import register

_TYPES = {torch.quint8: (0, 255, torch.uint8), torch.qint8: (-128, 127, torch.int8)}
_FLOATS: dict[str, Callable[[Any], nn.Module]] = {
    "Quantize": lambda old: nn.Identity(),
    "DeQuantize": lambda old: nn.Identity(),
    "Dropout": lambda old: nn.Identity(),
    "ReLU6": lambda old: nn.ReLU6(),
    "Hardswish": lambda old: nn.Hardswish(),
    "Sigmoid": lambda old: nn.Sigmoid(),
    "ELU": lambda old: nn.ELU(old.alpha),
    "LeakyReLU": lambda old: nn.LeakyReLU(old.negative_slope),
}
_WEIGHTED = ("Conv1d", "Conv2d", "ConvReLU1d", "ConvReLU2d", "Linear", "LinearReLU")


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What the bytes of a tensor stand for: scale, zero point, range and type."""

    scale: float
    zero: int
    low: int
    high: int
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Any) -> Steps | None:
        """Return those of a quantized tensor, or None for another one."""
        if not isinstance(tensor, Tensor) or not tensor.is_quantized:
            return None
        if tensor.qscheme() != torch.per_tensor_affine or tensor.dtype not in _TYPES:
            raise ModelError(
                f"an activation is quantized as {tensor.dtype} with {tensor.qscheme()}; expected "
                "quint8 or qint8 with one scale a tensor"
            )
        low, high, dtype = _TYPES[tensor.dtype]
        scale, zero = float(tensor.q_scale()), int(tensor.q_zero_point())
        return cls(scale=scale, zero=zero, low=low, high=high, dtype=dtype)

    def round(self, x: Tensor) -> Tensor:
        """Return what is left of floats once they have been bytes."""
        given, ops = (self.scale, self.zero, self.low, self.high, self.dtype), operators()
        y: Tensor = ops.dequantize_per_tensor(ops.quantize_per_tensor(x, *given), *given)
        return y


@dataclass
class _Seen:
    """What one module reads and gives, each time that it is called.

    Parameters
    ----------
    inputs, after : list
        The bytes of what it reads, and gives.
    before : list
        The bytes that no other module has rounded to already.
    """

    inputs: list[tuple[Steps | None, ...]] = field(default_factory=list)
    before: list[tuple[Steps | None, ...]] = field(default_factory=list)
    after: list[Steps | None] = field(default_factory=list)


def is_quantized(model: nn.Module) -> bool:
    """Whether a model has modules that compute with quantized tensors."""
    return any(_kind(module) for module in model.modules())


def spell_modules(model: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
    """Return a copy of a model whose quantized modules are spelled out.

    Parameters
    ----------
    model : nn.Module
        For which `is_quantized` holds.
    inputs : tuple of tensors
        On which it is run once.

    Raises
    ------
    ModelError
        If a module is of an unknown kind, or is called on tensors of different scales.
    """
    register()
    model = spell_dynamic(model)
    seen, spelled = _observe(model, inputs), copy.deepcopy(model)
    shared = {name for name, old in model.named_modules() if name in seen and _passes(seen[name])}
    if shared:  # bytes pass them as they are: whoever reads them rounds
        seen = _observe(model, inputs, shared)
    for name, old in list(spelled.named_modules()):
        if name in seen or _kind(old) == "QFunctional":
            parent, _, last = name.rpartition(".")
            setattr(spelled.get_submodule(parent), last, _spelled(name, old, seen.get(name)))
    return spelled


def _passes(seen: _Seen) -> bool:
    """Whether a module is called on tensors of several scales, and keeps each."""
    same = all(before[0] == after for before, after in zip(seen.inputs, seen.after, strict=True))
    return same and len(set(seen.after)) > 1


def _observe(
    model: nn.Module, inputs: tuple[Tensor, ...], leave: Collection[str] = ()
) -> dict[str, _Seen]:
    """Return what stands around each module that reads or gives quantized tensors."""
    seen: dict[str, _Seen] = {}
    known: list[Any] = []  # results of modules, which are rounded already

    def note(name: str, read: tuple[Any, ...], stored: Any) -> None:
        given, after = tuple(Steps.of(x) for x in read), Steps.of(stored)
        if after or any(given):
            found = seen.setdefault(name, _Seen())
            found.inputs.append(given)
            found.before.append(
                tuple(
                    None if any(x is y for y in known) else step
                    for x, step in zip(read, given, strict=True)
                )
            )
            found.after.append(after)
        known.append(stored)

    hooks = [
        module.register_forward_hook(lambda m, read, out, name=name: note(name, read, out))
        for name, module in model.named_modules()
        if (_kind(module) or not [*module.children()]) and name not in leave
    ]
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _spelled(name: str, old: nn.Module, seen: _Seen | None) -> nn.Module:
    if _kind(old) == "QFunctional":
        return _Functional(old)
    assert seen is not None
    if len(set(seen.before)) > 1 or len(set(seen.after)) > 1:
        raise ModelError(
            f"{name} is called on tensors of different scales: give the model a module for each"
        )
    return _module(name, old, seen.before[0], seen.after[0])


def _module(
    name: str, old: Any, before: tuple[Steps | None, ...], after: Steps | None
) -> nn.Module:
    kind = _kind(old)
    if not kind:
        return _Rounded(old, before, after)
    if kind in _WEIGHTED and hasattr(old, "zero_point"):
        return _Weighted(old, before, after)
    if kind in _FLOATS:
        return _Rounded(_FLOATS[kind](old), before, after)
    raise ModelError(
        f"{name} is a {type(old).__module__}.{kind}, which cannot be compiled; quantized modules "
        f"that can: {', '.join([*_WEIGHTED, *_FLOATS, 'QFunctional'])}, quantized statically"
    )


def _kind(module: nn.Module) -> str:
    """Return the name of a quantized module's class; an empty string for others."""
    home = type(module).__module__
    ours = home.startswith("torch.ao.nn.") and ".quantized" in home
    return type(module).__name__ if ours else ""


class _Rounded(nn.Module):
    """A module whose tensors are bytes in between."""

    def __init__(
        self, inner: nn.Module, before: tuple[Steps | None, ...], after: Steps | None
    ) -> None:
        super().__init__()
        self.inner, self.before, self.after = inner, before, after

    def forward(self, *read: Tensor) -> Tensor:
        rounded = [x if b is None else b.round(x) for x, b in zip(read, self.before, strict=True)]
        y = self.compute(*rounded)
        return y if self.after is None else self.after.round(y)

    def compute(self, *read: Tensor) -> Tensor:
        y: Tensor = self.inner(*read)
        return y


class _Weighted(_Rounded):
    """A convolution or linear layer of signed bytes."""

    bias: Tensor | None

    def __init__(self, old: Any, before: tuple[Steps | None, ...], after: Steps | None) -> None:
        super().__init__(
            nn.ReLU() if "ReLU" in type(old).__name__ else nn.Identity(), before, after
        )
        bias = old.bias()
        self.filters = Filters(old.weight())
        self.register_buffer("bias", None if bias is None else bias.detach())
        self.linear = not hasattr(old, "kernel_size")
        if not self.linear:
            self.options = (old.stride, old.padding, old.dilation, old.groups)

    def compute(self, *read: Tensor) -> Tensor:
        weight = self.filters()
        if self.linear:
            y = nn.functional.linear(read[0], weight, self.bias)
        else:
            conv = nn.functional.conv1d if weight.ndim == 3 else nn.functional.conv2d
            y = conv(read[0], weight, self.bias, *self.options)
        rectified: Tensor = self.inner(y)
        return rectified


class _Functional(nn.Module):
    """Sums and the like of bytes; methods are those of torch's ``QFunctional``."""

    def __init__(self, old: Any) -> None:
        super().__init__()
        scale, zero = float(old.scale), int(old.zero_point)
        self.after = Steps(scale=scale, zero=zero, low=0, high=255, dtype=torch.uint8)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return self.after.round(x + y)

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        return self.after.round(torch.relu(x + y))

    def mul(self, x: Tensor, y: Tensor) -> Tensor:
        return self.after.round(x * y)

    def cat(self, tensors: list[Tensor], dim: int = 0) -> Tensor:
        return self.after.round(torch.cat(tensors, dim))
