"""What a model's layers read on calibration data, rounded to bytes as int8 layers read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tvm_sparse.precision import Precision, needs_samples
from tvm_sparse.scheme import Scheme

Layer = nn.Linear | nn.Conv1d | nn.Conv2d
_LEAST = 1e-8  # the narrowest range, of inputs that are zero everywhere


@dataclass(frozen=True)
class Range:
    """What a layer reads.

    Parameters
    ----------
    low, high : float
        Its least and its largest value, zero being between them.
    other : float
        The share of values that are not zero: zero is a byte, and exact.
    """

    low: float
    high: float
    other: float

    def step(self, bits: int) -> float:
        """Return how far apart the values of so many bits are."""
        return (self.high - self.low) / float(2**bits - 1)

    def noise(self, bits: int) -> float:
        """Return the variance of what rounding to so many bits adds."""
        return self.other * self.step(bits) ** 2 / 12


Ranges = dict[str, Range]
"""What each layer reads, by its name."""


def ranges(model: nn.Module, data: Tensor) -> Ranges:
    """Return what the layers of a model read, those that are modules, in inference mode."""
    seen: Ranges = {}

    def note(name: str, x: Tensor) -> None:
        before = seen.get(name, Range(0.0, 0.0, 0.0))
        low, high = min(before.low, float(x.min())), max(before.high, float(x.max()))
        other = max(before.other, float((x != 0).float().mean()))
        seen[name] = Range(low, max(high, low + _LEAST), other)

    hooks = _hook(model, note)
    training = [(module, module.training) for module in model.modules()]
    with torch.inference_mode():
        model.eval()(data)
    for module, mode in training:
        module.training = mode
    for hook in hooks:
        hook.remove()
    return seen


def round_inputs(model: nn.Module, known: Ranges, schemes: Mapping[str, Scheme]) -> None:
    """Let layers that are int8 read rounded inputs from now on, as their schemes then say."""

    def read(name: str, x: Tensor) -> Tensor | None:
        bits = schemes[name].bits if name in schemes else 32
        if name not in known or not needs_samples(Precision.parse(bits)):
            return None
        scale = known[name].step(bits)
        zero = round(-known[name].low / scale)
        return ((x / scale).round().clamp(-zero, 2**bits - 1 - zero)) * scale

    _hook(model, read)


def layers(model: nn.Module) -> dict[str, Layer]:
    """Return a model's convolutions and linear layers by name."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d)
    return {name: one for name, one in model.named_modules() if isinstance(one, kinds)}


def _hook(model: nn.Module, see: Callable[[str, Tensor], Tensor | None]) -> list[Any]:
    """Call `see` with the name and the input of each layer; what it returns is read instead."""

    def hook_of(name: str) -> Callable[..., Any]:
        def hook(module: nn.Module, arguments: tuple[Any, ...]) -> Any:
            other = see(name, arguments[0].detach())
            return None if other is None else (other, *arguments[1:])

        return hook

    return [one.register_forward_pre_hook(hook_of(name)) for name, one in layers(model).items()]
