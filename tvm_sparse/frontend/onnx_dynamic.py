"""Spell ONNX's dynamic quantization as dequantization around float operators.

Before, as ONNX Runtime's ``quantize_dynamic`` writes it::

    q, s, z = DynamicQuantizeLinear(x)
    y = Cast(MatMulInteger(q, w, z, w_zero)) * (s * w_scale)

After::

    s, z = …                                       # of the least and the greatest value of x, and 0
    q = QuantizeLinear(x, s, z)
    y = MatMul(DequantizeLinear(q, 1, z), DequantizeLinear(w, 1, w_zero)) * (s * w_scale)

The product has the same integers, as floats; in Relax it becomes an integer kernel again, see
`tvm_sparse.relay_passes.fold_dynamic_quantization`. The operators that ONNX Runtime makes of these
when it saves an optimized model are spelled in the same way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tvm_sparse.errors import ModelError
from tvm_sparse.frontend.onnx_spelling import spelled

_STEPS = 255.0  # from the least byte to the greatest


def spell_dynamic(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model without operators that quantize while they run; others as they are.

    Raises
    ------
    ModelError
        If a convolution's padding is not written out.
    """
    if not any(node.op_type in _SPELLED for node in model.graph.node):
        return model
    return spelled(model, _Speller)


class _Speller:
    """The nodes of a graph, as far as they are spelled out."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._shapes = {each.name: tuple(each.dims) for each in graph.initializer}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        self._dropped: list[str] = []  # results of casts that are floats already
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)

    def add(self, node: onnx.NodeProto) -> None:
        """Add a node, or what it is spelled as."""
        spell = _SPELLED.get(node.op_type)
        if spell is not None:
            spell(self, node)
        elif node.output[0] not in self._dropped:
            self.nodes.append(node)

    def emit(self, op: str, read: list[str], stored: str, *, name: str = "", **options: int) -> str:
        """Add a node, and return the name of its result."""
        self.nodes.append(helper.make_node(op, read, [stored], name=name, **options))
        return stored

    def number(self, value: float) -> str:
        """Return the name of a float."""
        name = f"tvm_sparse_{value}"
        if name not in self._shapes:
            self._shapes[name] = ()
            self.constants.append(numpy_helper.from_array(np.float32(value), name))
        return name

    def quantized(self, x: str, stored: str, scale: str, zero: str) -> None:
        """Add the quantization of a tensor between its least and greatest value, and 0."""
        none, steps = self.number(0.0), self.number(_STEPS)
        high = self.emit("Max", [self.emit("ReduceMax", [x], f"{scale}_1", keepdims=0), none],
                         f"{scale}_2")  # fmt: skip
        low = self.emit("Min", [self.emit("ReduceMin", [x], f"{scale}_3", keepdims=0), none],
                        f"{scale}_4")  # fmt: skip
        width = self.emit("Sub", [high, low], f"{scale}_5")
        step = self.emit("Div", [width, steps], f"{scale}_6")
        flat = self.emit("Equal", [width, none], f"{scale}_7")
        self.emit("Where", [flat, self.number(1.0), step], scale)
        below = self.emit("Div", [self.emit("Neg", [low], f"{zero}_1"), scale], f"{zero}_2")
        inside = self.emit("Min", [self.emit("Round", [below], f"{zero}_3"), steps], f"{zero}_4")
        self.emit("Cast", [inside], zero, to=TensorProto.UINT8)
        self.emit("QuantizeLinear", [x, scale, zero], stored)

    def real(self, name: str, zero: str, stored: str, *, scale: str = "", axis: int = 0) -> str:
        """Add the dequantization of bytes, by a scale of 1 if none is given."""
        shape = self._shapes.get(zero, ())
        if not scale and shape and shape != (1,):
            scale = f"{stored}_scale"
            self.constants.append(numpy_helper.from_array(np.ones(shape, np.float32), scale))
        read = [name, scale or self.number(1.0), *([zero] if zero else [])]
        each = axis if shape and shape != (1,) else 0
        return self.emit("DequantizeLinear", read, stored, axis=each)

    def result(self, node: onnx.NodeProto) -> tuple[str, bool]:
        """Return what to call a node's floats, and whether they must become integers after all."""
        readers = self._readers.get(node.output[0], [])
        casts = [each for each in readers if each.op_type == "Cast"]
        kinds = [helper.get_node_attr_value(each, "to") for each in casts]
        if len(readers) == 1 and kinds == [TensorProto.FLOAT]:
            self._dropped.append(casts[0].output[0])
            return casts[0].output[0], False
        return f"{node.output[0]}_float", True


def _dynamic(speller: _Speller, node: onnx.NodeProto) -> None:
    speller.quantized(node.input[0], *node.output)


def _product(speller: _Speller, node: onnx.NodeProto) -> None:
    _integers(speller, node, "MatMul", axis=1)


def _conv(speller: _Speller, node: onnx.NodeProto) -> None:
    for each in node.attribute:
        if each.name == "auto_pad" and each.s not in (b"NOTSET", b"VALID"):
            raise ModelError(
                f"ConvInteger {node.name or node.output[0]!r} has auto_pad={each.s.decode()}; "
                "expected its padding in numbers: export the model with pads"
            )
    _integers(speller, node, "Conv", axis=0)


def _integers(speller: _Speller, node: onnx.NodeProto, op: str, axis: int) -> None:
    """Add a product of integers as one of floats."""
    x_zero, w_zero = ([*node.input[2:], "", ""][i] for i in (0, 1))
    stored, as_integers = speller.result(node)
    x = speller.real(node.input[0], x_zero, f"{stored}_x", axis=0)
    weight = speller.real(node.input[1], w_zero, f"{stored}_w", axis=axis)
    speller.emit(op, [x, weight], stored, name=node.name.removesuffix("_quant"))
    speller.nodes[-1].attribute.extend(node.attribute)
    if as_integers:
        speller.emit("Cast", [stored], node.output[0], to=TensorProto.INT32)


def _to_floats(speller: _Speller, node: onnx.NodeProto) -> None:
    """Spell ``MatMulIntegerToFloat(q, w, s, w_scale, z, w_zero, bias)``."""
    x, weight, scale, w_scale, zero, w_zero, bias = [*node.input, "", "", ""][:7]
    _scaled(speller, node, (x, scale, zero), (weight, w_scale, w_zero), bias)


def _whole(speller: _Speller, node: onnx.NodeProto) -> None:
    """Spell ``DynamicQuantizeMatMul(x, w, w_scale, w_zero, bias)``."""
    x, weight, w_scale, w_zero, bias = [*node.input, "", ""][:5]
    names = tuple(f"{node.output[0]}_{part}" for part in ("quantized", "scale", "zero"))
    speller.quantized(x, *names)
    _scaled(speller, node, (names[0], names[1], names[2]), (weight, w_scale, w_zero), bias)


def _scaled(
    speller: _Speller,
    node: onnx.NodeProto,
    x: tuple[str, str, str],
    weight: tuple[str, str, str],
    bias: str,
) -> None:
    """Add the product of bytes that come with their scales and zero points."""
    y = node.output[0]
    (data, scale, zero), (table, w_scale, w_zero) = x, weight
    read = [
        speller.real(data, zero, f"{y}_x", scale=scale),
        speller.real(table, w_zero, f"{y}_w", scale=w_scale, axis=1),
    ]
    stored = f"{y}_unbiased" if bias else y
    speller.emit("MatMul", read, stored, name=node.name)
    if bias:
        speller.emit("Add", [stored, bias], y)


_SPELLED: dict[str, Callable[[_Speller, onnx.NodeProto], None]] = {
    "DynamicQuantizeLinear": _dynamic,
    "MatMulInteger": _product,
    "ConvInteger": _conv,
    "MatMulIntegerToFloat": _to_floats,
    "DynamicQuantizeMatMul": _whole,
}
