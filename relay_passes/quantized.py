"""Read layers between ``R.dequantize`` and ``R.quantize`` out of Relax functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import relax

from tvm_sparse import words
from tvm_sparse.integer import Bytes, Integers
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import expr, layers
from tvm_sparse.relay_passes.elementwise import CLIP, on_number, varies_along

QUANTIZE, DEQUANTIZE = "relax.quantize", "relax.dequantize"
CLAMPS = ("relax.nn.relu", CLIP)
_BYTES = ("uint8", "int8")
_SIGN = 128
Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A layer whose input and weight are dequantized bytes.

    Parameters
    ----------
    var : relax.Var
        What the layer's sums are bound to.
    layer : Layer
    numbers : Integers
    data : relax.Var
        The quantized input.
    residual : relax.Var, optional
        A quantized tensor that is added.
    """

    var: relax.Var
    layer: Layer
    numbers: Integers
    data: relax.Var
    residual: relax.Var | None = None

    @property
    def reads(self) -> list[relax.Var]:
        """The quantized tensors that it reads."""
        return [self.data] if self.residual is None else [self.data, self.residual]


def meaning(uses: expr.Uses, call: Any) -> Bytes | None:
    """Return what the bytes of a quantize or dequantize stand for; None without one scale."""
    quantizes = expr.op_name(call) == QUANTIZE
    kind = (call if quantizes else call.args[0]).ty
    if not isinstance(kind, relax.TensorType) or str(kind.dtype) not in _BYTES:
        return None
    scale, zero = (uses.constant(arg) for arg in call.args[1:3])
    if scale is None or zero is None or scale.size != 1 or zero.size != 1:
        return None
    shift = _SIGN if str(kind.dtype) == "int8" else 0
    return Bytes(scale=float(scale.reshape(-1)[0]), zero=int(zero.reshape(-1)[0]) + shift)


def source(uses: expr.Uses, value: Any) -> tuple[relax.Var, Bytes] | None:
    """Return the bytes that an expression dequantizes, and their meaning, or None.

    A quantize must have meant the same; bytes that come in another way mean what readers say.
    """
    call = uses.value(value)
    if expr.op_name(call) != DEQUANTIZE:
        return None
    found, known = call.args[0], meaning(uses, call)
    made = uses.value(found)
    if known is None or not isinstance(made, relax.Call):
        return None
    if expr.op_name(made) == QUANTIZE and meaning(uses, made) not in (known, None):
        return None
    return found, known


def data_of(uses: expr.Uses, call: relax.Call) -> Any:
    """Return what a layer reads; of a linear one, before reshapes that keep its rows."""
    data = call.args[0]
    if expr.op_name(call) != layers.LINEAR:
        return data
    while expr.op_name(uses.value(data)) == "relax.reshape":
        before, after = (expr.shape(one) or () for one in (uses.value(data).args[0], data))
        if before[-1:] != after[-1:]:
            break
        data = uses.value(data).args[0]
    return data


def layer(uses: expr.Uses, var: relax.Var, name: str) -> Found | str | None:
    """Return a layer of bytes, why it must stay one of floats, or None if it is no layer of bytes.

    Its bias is none yet, its output floats; see `epilogue`.
    """
    call = uses.values[var]
    if expr.op_name(call) not in (layers.CONV, layers.LINEAR):
        return None
    known = weight(uses, call)
    if known is None or isinstance(known, str):
        return known
    value, scale = known
    data = source(uses, data_of(uses, call))
    if data is None:
        return "its input is not quantized to bytes of one scale"
    found = layers.layer_of(call, value.T if expr.op_name(call) == layers.LINEAR else value, name)
    if isinstance(found, str):
        return found
    bias = np.zeros(len(value))
    numbers = Integers(weight=value, scale=scale, bias=bias, data=data[1])
    why = words.objection(found)
    return why or Found(var=var, layer=found, numbers=numbers, data=data[0])


def weight(uses: expr.Uses, call: relax.Call) -> tuple[Array, Array] | str | None:
    """Return a layer's weights, filters first, as signed bytes, and their scales, or why not."""
    found, turned = uses.value(call.args[1]), expr.op_name(call) == layers.LINEAR
    if turned and expr.op_name(found) == "relax.permute_dims":
        found, turned = uses.value(found.args[0]), False
    if expr.op_name(found) != DEQUANTIZE:
        return None
    value, scale, zero = (uses.constant(arg) for arg in found.args[:3])
    if value is None or scale is None or zero is None:
        return None
    if expr.op_name(call) == layers.LINEAR and value.ndim != 2:
        return "expected a matrix of weights"
    axis = 1 if turned else 0
    if scale.size > 1 and int(found.attrs.axis) % value.ndim != axis:
        return "its weights have a scale for each input, not for each filter"
    along = [1] * value.ndim
    along[axis] = -1
    signed = value.astype(np.int64) - zero.astype(np.int64).reshape(along if zero.size > 1 else -1)
    if np.abs(signed + 0.5).max(initial=0) > _SIGN:
        return "its weights are no bytes around zero: quantize them symmetrically"
    signed = signed.astype(np.int8).T if turned else signed.astype(np.int8)
    return signed, np.broadcast_to(scale.reshape(-1).astype(np.float64), (len(signed),))


def epilogue(uses: expr.Uses, var: relax.Var, known: dict[relax.Var, Found]) -> Found | None:
    """Return the layer that a quantize stores, with all that stands in between, or None.

    That is a bias, a residual that is bytes too, and then ReLU or clipping.
    """
    call = uses.values[var]
    output = meaning(uses, call)
    if output is None:
        return None
    low, high, below = -np.inf, np.inf, _before_reshape(uses, call.args[0])
    while uses.read_once(below) and expr.op_name(uses.value(below)) in CLAMPS:
        bounds = clamped(uses.value(below), low, high)
        if bounds is None:
            return None
        low, high = bounds
        below = _before_reshape(uses, uses.value(below).args[0])
    found = _sum(uses, below, known)
    if found is None:
        return None
    numbers = replace(found.numbers, output=output, low=low, high=high)
    return _fitting(uses, var, replace(found, numbers=numbers))


def clamped(clamp: relax.Call, low: float, high: float) -> tuple[float, float] | None:
    """Return the bounds of what a ReLU or a clip leaves, given those after it, or None."""
    first, last = on_number(clamp, -np.inf), on_number(clamp, np.inf)
    if first is None or last is None:
        return None
    return float(np.clip(first, low, high)), float(np.clip(last, low, high))


def before_clamps(uses: expr.Uses, value: Any) -> tuple[Any, float, float]:
    """Return what a chain of ReLU and clipping reads, and between which values it leaves it."""
    low, high, below = -np.inf, np.inf, value
    while expr.op_name(uses.value(below)) in CLAMPS:
        bounds = clamped(uses.value(below), low, high)
        if bounds is None:
            break
        low, high = bounds
        below = uses.value(below).args[0]
    return below, low, high


def biased(uses: expr.Uses, var: relax.Var, known: dict[relax.Var, Found]) -> Found | None:
    """Return the layer whose sums an addition ends, with its bias, or None."""
    found = _added(uses, var, known) if expr.op_name(uses.values[var]) == "relax.add" else None
    return None if found is None or found.residual is not None else _fitting(uses, var, found)


def _fitting(uses: expr.Uses, var: relax.Var, found: Found) -> Found | None:
    """Return the layer if its sums fit 32 bits, and if it keeps its shape or is of rows."""
    moved = found.layer.op == "conv2d" and expr.shape(var) != expr.shape(found.var)
    return None if moved or found.numbers.objection() else found


def _before_reshape(uses: expr.Uses, value: Any) -> Any:
    """Look through a reshape that nobody else reads, and that keeps rows as they are."""
    call = uses.value(value)
    if expr.op_name(call) != "relax.reshape" or not uses.read_once(value):
        return value
    before, after = expr.shape(call.args[0]) or (), expr.shape(value) or ()
    return call.args[0] if before[-1:] == after[-1:] else value


def _sum(uses: expr.Uses, value: Any, known: dict[relax.Var, Found]) -> Found | None:
    """Return the layer below additions of constants and of at most one tensor of bytes."""
    below = _before_reshape(uses, value)
    if not uses.read_once(below):
        return None
    return known[below] if below in known else _added(uses, below, known)


def _added(uses: expr.Uses, var: relax.Var, known: dict[relax.Var, Found]) -> Found | None:
    """Return the layer of one of an addition's operands, with the other one added."""
    call = uses.value(var)
    if expr.op_name(call) != "relax.add":
        return None
    for main, other in (tuple(call.args), tuple(call.args)[::-1]):
        bias, residual = _constant(uses, other), source(uses, other)
        found = None if bias is None and residual is None else _sum(uses, main, known)
        if found is not None and bias is not None:
            return _with_bias(found, bias)
        if found is not None and residual is not None and found.residual is None:
            if expr.shape(other) == expr.shape(var):
                numbers = replace(found.numbers, residual=residual[1])
                return replace(found, numbers=numbers, residual=residual[0])
    return None


def _with_bias(found: Found, bias: Array) -> Found | None:
    """Return the layer with a bias added; None if it is not one number a filter."""
    rank, axis = (4, 1) if found.layer.op == "conv2d" else (len(found.layer.input) + 1, -1)
    if bias.ndim > rank or not varies_along(bias, axis % rank, rank):
        return None
    total = found.numbers.bias + bias.reshape(-1)
    return replace(found, numbers=replace(found.numbers, bias=total))


def _constant(uses: expr.Uses, value: Any) -> Array | None:
    """Return a constant of floats, or one that is dequantized from integers, and reshaped."""
    found = uses.value(value)
    if expr.op_name(found) == "relax.reshape":
        inner = _constant(uses, found.args[0])
        return None if inner is None else inner.reshape(expr.shape(found) or ())
    if expr.op_name(found) != DEQUANTIZE:
        constant = uses.constant(value)
        return None if constant is None else np.asarray(constant, np.float64)
    return dequantized(uses, found)


def dequantized(uses: expr.Uses, call: relax.Call) -> Array | None:
    """Return the value, in float64, of a dequantized constant; None if it is no constant."""
    value, scale, zero = (uses.constant(arg) for arg in call.args[:3])
    if value is None or scale is None or zero is None:
        return None
    along = [1] * value.ndim
    if value.ndim:
        along[int(call.attrs.axis)] = -1
    scale, zero = (
        part.reshape(along) if part.size > 1 else part.reshape([1] * value.ndim)
        for part in (scale, zero)
    )
    real: Array = (value.astype(np.int64) - zero.astype(np.int64)) * scale.astype(np.float64)
    return real
