"""Spell ONNX's integer operators as float operators between dequantization and quantization.

Before (the format that ONNX Runtime calls QOperator)::

    y = QLinearConv(x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias)
    z = MaxPool(y)

After (its format QDQ)::

    y = QuantizeLinear(Conv(DequantizeLinear(x, …), DequantizeLinear(w, …), bias), y_scale, y_zero)
    z = QuantizeLinear(MaxPool(DequantizeLinear(y, …)), y_scale, y_zero)

The results are the same up to the rounding of ties. What both formats become in Relax is an integer
kernel again, see `tvm_sparse.relay_passes.fold_quantization`. The operators of the domain
``com.microsoft`` are described in ONNX Runtime's ``docs/ContribOperators.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from tvm_sparse.errors import ModelError
from tvm_sparse.frontend.onnx_spelling import spelled

Array = npt.NDArray[Any]
_UNARY = {
    "QLinearAveragePool": "AveragePool",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearLeakyRelu": "LeakyRelu",
    "QLinearReduceMean": "ReduceMean",
    "QLinearSigmoid": "Sigmoid",
    "QLinearSoftmax": "Softmax",
}
_BINARY = {"QLinearAdd": "Add", "QLinearMul": "Mul"}
_MOVES = ("MaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Slice")
_KNOWN = ("FLOAT", "INT8", "UINT8", "INT16", "UINT16", "INT32")
_LEFT_OUT = ("channels_last", "opset")  # attributes that float operators do not have


def spell_integers(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model without operators of the kind QLinear…; others are returned as they are.

    Raises
    ------
    ModelError
        If an activation has a scale for each channel, or channels stand last.
    """
    if not any(node.op_type.startswith(("QLinear", "QGemm")) for node in model.graph.node):
        return model
    return spelled(model, _Speller)


def check_bytes(model: onnx.ModelProto) -> None:
    """Raise a ModelError if quantized tensors have other types than TVM's importer knows."""
    types = {each.name: each.data_type for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            for name in (node.input[0], *node.input[2:3]):
                found = onnx.TensorProto.DataType.Name(types.get(name, onnx.TensorProto.INT8))
                if found not in _KNOWN:
                    raise ModelError(
                        f"{node.op_type} {node.name or node.output[0]!r} has numbers of type "
                        f"{found}; expected bytes, INT8 or UINT8: quantize to 8 bits (weights of "
                        "fewer bits: ts.quantize(model, bits=4))"
                    )


class _Speller:
    """The nodes of a graph, as far as they are spelled out."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._arrays = {each.name: each for each in graph.initializer}
        self._given: dict[str, tuple[str, str]] = {}  # scale and zero point of tensors of bytes
        self._real: dict[tuple[str, str], str] = {}

    def add(self, node: onnx.NodeProto) -> None:
        """Add a node, or what it is spelled as."""
        found = _SPELLED.get(node.op_type)
        if found is not None:
            self._check(node)
            found(self, node)
        elif node.op_type in _MOVES and node.input[0] in self._given:
            given = self._given[node.input[0]]
            read = [self.real(node.input[0], *given), *node.input[1:]]
            self.emit(node, node.op_type, read, *given)
        else:
            if node.op_type == "QuantizeLinear":
                self._given[node.output[0]] = (node.input[1], node.input[2])
            self.nodes.append(node)

    def real(self, name: str, scale: str, zero: str, *, axis: int | None = None) -> str:
        """Return the name of a tensor's dequantized values."""
        key = (name, scale)
        if key not in self._real:
            self._real[key] = f"{name}_real_{len(self._real)}"
            options = {} if axis is None or self.array(scale).size == 1 else {"axis": axis}
            inputs = [name, scale, zero] if zero else [name, scale]
            new = helper.make_node("DequantizeLinear", inputs, [self._real[key]], **options)
            self.nodes.append(new)
        return self._real[key]

    def activation(self, node: onnx.NodeProto, first: int) -> str:
        """Return the dequantized values of an input that is followed by scale and zero point."""
        name, scale, zero = node.input[first : first + 3]
        if self.array(scale).size > 1:
            raise ModelError(
                f"{node.op_type} {node.name!r} reads an activation with {self.array(scale).size} "
                "scales, one for each channel: quantize activations with one scale a tensor "
                "(per_channel is for weights)"
            )
        return self.real(name, scale, zero)

    def weight(self, node: onnx.NodeProto, axis: int) -> str:
        """Return the dequantized weights of a layer, whose filters lie along an axis."""
        name, scale, zero = node.input[3:6]
        return self.real(name, scale, zero, axis=axis)

    def emit(self, node: onnx.NodeProto, op: str, read: list[str], scale: str, zero: str) -> None:
        """Add a float operator that stores what a node does; bytes, if there is a scale."""
        stored = node.output[0]
        value = f"{stored}_before" if scale else stored
        new = helper.make_node(op, read, [value], name=node.name.removesuffix("_quant"))
        new.attribute.extend(each for each in node.attribute if each.name not in _LEFT_OUT)
        self.nodes.append(new)
        if scale:
            inputs = [value, scale, zero] if zero else [value, scale]
            self.nodes.append(helper.make_node("QuantizeLinear", inputs, [stored]))
            self._given[stored] = (scale, zero)

    def bias(self, name: str, *scales: str, factor: float = 1.0) -> str:
        """Return the name of a bias in floats, whose steps are the product of some scales."""
        unit = np.prod([np.broadcast_to(self.array(s), self.array(name).shape) for s in scales], 0)
        real = (self.array(name) * (unit.astype(np.float64) * factor)).astype(np.float32)
        self.constants.append(numpy_helper.from_array(real, f"{name}_real"))
        return f"{name}_real"

    def array(self, name: str) -> Array:
        """Return the value of a constant."""
        if name not in self._arrays:
            raise ModelError(f"the scale, zero point or bias {name!r} must be an initializer")
        value: Array = numpy_helper.to_array(self._arrays[name])
        return value.reshape(-1)

    def _check(self, node: onnx.NodeProto) -> None:
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if attributes.get("channels_last"):
            raise ModelError(f"{node.op_type} {node.name!r} has channels last; expected NCHW")


def _conv(speller: _Speller, node: onnx.NodeProto) -> None:
    x, scale = speller.activation(node, 0), node.input[4]
    read = [x, speller.weight(node, axis=0)]
    if len(node.input) > 8 and node.input[8]:
        read.append(speller.bias(node.input[8], node.input[1], scale))
    speller.emit(node, "Conv", read, node.input[6], node.input[7])


def _matmul(speller: _Speller, node: onnx.NodeProto) -> None:
    read = [speller.activation(node, 0), speller.weight(node, axis=1)]
    speller.emit(node, "MatMul", read, node.input[6], node.input[7])


def _gemm(speller: _Speller, node: onnx.NodeProto) -> None:
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    axis = 0 if attributes.get("transB") else 1
    read = [speller.activation(node, 0), speller.weight(node, axis=axis)]
    if len(node.input) > 6 and node.input[6]:
        scales, alpha = (node.input[1], node.input[4]), attributes.get("alpha", 1.0)
        read.append(speller.bias(node.input[6], *scales, factor=alpha))
    output = [*node.input[7:9], "", ""]
    speller.emit(node, "Gemm", read, output[0], output[1])


def _unary(speller: _Speller, node: onnx.NodeProto) -> None:
    read = [speller.activation(node, 0)]
    speller.emit(node, _UNARY[node.op_type], read, node.input[3], node.input[4])


def _binary(speller: _Speller, node: onnx.NodeProto) -> None:
    read = [speller.activation(node, 0), speller.activation(node, 3)]
    speller.emit(node, _BINARY[node.op_type], read, node.input[6], node.input[7])


def _where(speller: _Speller, node: onnx.NodeProto) -> None:
    read = [node.input[0], speller.activation(node, 1), speller.activation(node, 4)]
    speller.emit(node, "Where", read, node.input[7], node.input[8])


def _concat(speller: _Speller, node: onnx.NodeProto) -> None:
    read = [speller.activation(node, first) for first in range(2, len(node.input), 3)]
    speller.emit(node, "Concat", read, node.input[0], node.input[1])


_SPELLED: dict[str, Callable[[_Speller, onnx.NodeProto], None]] = {
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "QGemm": _gemm,
    "QLinearConcat": _concat,
    "QLinearWhere": _where,
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_BINARY, _binary),
}
