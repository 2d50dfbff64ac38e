"""The element-wise operators that passes may move, and what they do to a number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy.typing as npt
from tvm import relax

from tvm_sparse.relay_passes import expr

UNARY: dict[str, Callable[[float], float]] = {
    "relax.nn.relu": lambda x: max(x, 0.0),
    "relax.nn.gelu": lambda x: x * 0.5 * (1 + math.erf(x * math.sqrt(0.5))),
    "relax.nn.silu": lambda x: x / (1 + math.exp(-x)),
    "relax.sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "relax.tanh": math.tanh,
    "relax.negative": lambda x: -x,
    "relax.abs": abs,
}
BINARY: dict[str, Callable[[float, float], float]] = {
    "relax.add": lambda a, b: a + b,
    "relax.subtract": lambda a, b: a - b,
    "relax.multiply": lambda a, b: a * b,
    "relax.maximum": max,
    "relax.minimum": min,
}
CLIP = "relax.clip"
ELEMENTWISE = {*UNARY, *BINARY, CLIP, "relax.divide", "relax.nn.gelu_tanh", "relax.nn.leakyrelu"}


def is_number(builder: relax.BlockBuilder, arg: relax.Expr) -> bool:
    """Whether an argument is a number: a primitive value or a constant of one element."""
    if not isinstance(arg.ty, relax.TensorType):
        return True
    value = expr.constant(builder, arg)
    return value is not None and value.size == 1


def varies_along(value: npt.NDArray[Any], axis: int, rank: int) -> bool:
    """Whether a constant operand of a tensor of `rank` axes is a number, or varies along one."""
    shape = (1,) * (rank - value.ndim) + value.shape
    return all(size == 1 for i, size in enumerate(shape) if i != axis)


def on_number(call: relax.Call, x: float) -> float | None:
    """Return what a unary operator does to a number, or None if that is not known."""
    name = expr.op_name(call)
    if name in UNARY:
        return UNARY[name](x)
    if name == CLIP:
        low, high = (_number(arg) for arg in call.args[1:3])
        return None if low is None or high is None else min(max(x, low), high)
    return None


def _number(arg: Any) -> float | None:
    value = getattr(arg, "value", None)
    return (
        None if value is None or hasattr(value, "shape") else float(getattr(value, "value", value))
    )
