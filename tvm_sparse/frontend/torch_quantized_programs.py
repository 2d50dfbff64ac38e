"""Read torch's operators ``quantized_decomposed``, of which quantized exported programs are made.

torchao's ``convert_pt2e`` writes them around float operators::

    q = quantized_decomposed.quantize_per_tensor(x, 0.02, 3, 0, 255, uint8)
    f = quantized_decomposed.dequantize_per_tensor(q, 0.02, 3, 0, 255, uint8)
    y = aten.conv2d(f, quantized_decomposed.dequantize_per_channel(w, scales, zeros, 0, …), bias)

They become ``R.quantize`` and ``R.dequantize``. A range that is narrower than the bytes becomes an
``R.clip`` before. Where ``choose_qparams`` computes scale and zero point, these are operators too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
import tvm
from tvm import relax

from tvm_sparse.errors import ModelError

Converter = Callable[[Any, Any], Any]
_NAMESPACE = "quantized_decomposed"
_TYPES = {torch.uint8: "uint8", torch.int8: "int8"}


def register() -> None:
    """Let torch know the operators, so that saved programs can be loaded."""
    import torch.ao.quantization.fx._decomposed  # noqa: F401


def converters(program: torch.export.ExportedProgram) -> dict[str, Converter]:
    """Return how TVM's importer reads the operators of a program, by its names of them."""
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    found = {str(node.target.__name__) for node in nodes if _ours(node.target)}
    for name in sorted(found - _CONVERTERS.keys()):
        raise ModelError(
            f"{_NAMESPACE}.{name} cannot be compiled: expected one scale for each activation, "
            "known before the model runs or chosen by choose_qparams.tensor, and one for each "
            "tensor or filter of weights; quantize it so"
        )
    return {name: _CONVERTERS[name] for name in found}


def weight_names(program: torch.export.ExportedProgram) -> dict[str, str]:
    """Return what the user calls dequantized weights, by the names that `converters` give them.

    Frozen weights are ``_frozen_param0`` and so on; the module that reads them tells the layer.
    """
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    layers = {_layer(node) for node in nodes if _ours(node.target)}
    return {_variable(layer): f"{layer}.weight" for layer in layers if layer}


def _variable(layer: str) -> str:
    return f"dequantized_{re.sub(r'[^A-Za-z0-9]', '_', layer)}"


def _ours(target: Any) -> bool:
    return getattr(target, "namespace", "") == _NAMESPACE


def _layer(node: Any) -> str:
    """Return the module whose weight a node dequantizes; an empty string if it is no weight."""
    users = list(node.users)
    while users:
        user = users.pop(0)
        stack = user.meta.get("nn_module_stack") or {}
        if len(user.all_input_nodes) > 1 and node.args[0].op == "placeholder" and stack:
            return str(list(stack.values())[-1][0])
        users += [] if _ours(user.target) else user.users
    return ""


def _choose(node: Any, importer: Any) -> Any:
    """Return scale and zero point of bytes that cover a tensor, and 0."""
    x, low, high, least = _arguments(node, importer)[:4]
    emit, op = importer.block_builder.emit, relax.op
    none = relax.const(0.0, "float32")
    first = emit(op.minimum(emit(op.min(x)), none))
    last = emit(op.maximum(emit(op.max(x)), none))
    step = emit(op.divide(emit(op.subtract(last, first)), relax.const(float(high - low))))
    scale = emit(op.maximum(step, relax.const(float(least))))
    steps = emit(op.round(emit(op.divide(first, scale))))
    zero = emit(op.clip(emit(op.subtract(relax.const(float(low)), steps)), float(low), float(high)))
    return relax.Tuple([scale, emit(op.astype(zero, "int64"))])


def _quantize_tensor(node: Any, importer: Any) -> Any:
    x, scale, zero, low, high, dtype = _arguments(node, importer)[:6]
    kind = _kind(dtype, "an activation")
    x = _clipped(importer.block_builder.emit, x, scale, zero, (low, high), kind)
    q = relax.op.quantize(x, _scale(scale), _zero(importer, zero, kind), 0, kind)
    return importer.block_builder.emit(q)


def _dequantize_tensor(node: Any, importer: Any) -> Any:
    q, scale, zero, _, _, dtype = _arguments(node, importer)[:6]
    kind = _kind(dtype, "a tensor")
    f = relax.op.dequantize(q, _scale(scale), _zero(importer, zero, kind), 0)
    return _named(node, importer, f)


def _quantize_channels(node: Any, importer: Any) -> Any:
    x, scales, zeros, axis, _, _, dtype = _arguments(node, importer)[:7]
    kind = _kind(dtype, "a tensor")
    q = relax.op.quantize(x, scales, _zero(importer, zeros, kind), axis, kind)
    return importer.block_builder.emit(q)


def _dequantize_channels(node: Any, importer: Any) -> Any:
    q, scales, zeros, axis, _, _, dtype = _arguments(node, importer)[:7]
    kind = _kind(dtype, "a weight")
    zeros = relax.const(0, kind) if zeros is None else _zero(importer, zeros, kind)
    return _named(node, importer, relax.op.dequantize(q, scales, zeros, axis))


def _named(node: Any, importer: Any, value: Any) -> Any:
    """Emit a value; that of a weight under a name that tells of its layer."""
    layer = _layer(node)
    return importer.block_builder.emit(value, _variable(layer) if layer else "")


def _arguments(node: Any, importer: Any) -> list[Any]:
    return [*importer.retrieve_args(node)]


def _kind(dtype: Any, what: str) -> str:
    """Return TVM's name of a type of bytes."""
    if dtype not in _TYPES:
        raise ModelError(f"{what} is quantized to {dtype}; expected torch.uint8 or torch.int8")
    return _TYPES[dtype]


def _scale(scale: Any) -> Any:
    return relax.const(float(scale), "float32") if isinstance(scale, (int, float)) else scale


def _zero(importer: Any, zero: Any, kind: str) -> Any:
    """Return a zero point in the type of the bytes: torch has it as an int64."""
    if isinstance(zero, int):
        return relax.const(zero, kind)
    return importer.block_builder.emit(relax.op.astype(zero, kind))


def _clipped(emit: Any, x: Any, scale: Any, zero: Any, bounds: tuple[int, int], kind: str) -> Any:
    """Return a tensor clipped to what a range of bytes stands for, if that is not all of them."""
    whole = tvm.DataType(kind)
    least, most = (0, 255) if whole.type_code == tvm.DataTypeCode.UINT else (-128, 127)
    if tuple(bounds) == (least, most) or not isinstance(scale, (int, float)):
        return x
    low, high = (float((bound - zero) * scale) for bound in bounds)
    return emit(relax.op.clip(x, low, high))


_CONVERTERS: dict[str, Converter] = {
    "choose_qparams.tensor": _choose,
    "quantize_per_tensor.default": _quantize_tensor,
    "quantize_per_tensor.tensor": _quantize_tensor,
    "dequantize_per_tensor.default": _dequantize_tensor,
    "dequantize_per_tensor.tensor": _dequantize_tensor,
    "quantize_per_channel.default": _quantize_channels,
    "dequantize_per_channel.default": _dequantize_channels,
}
