"""Spell weights of few bits in ONNX models as floats, and tell which layers had them.

Before, as ONNX Runtime's ``MatMulNBitsQuantizer`` writes it in its two formats::

    y = MatMulNBits(x, w, scales, zero_points)                     # bits=4, block_size=32
    y = MatMul(x, DequantizeLinear(w, scales, zero_points))        # w: UINT4, block_size=32

After::

    y = MatMul(x, w)                                               # w: the very same floats

Layers that had four bits or fewer get kernels of four bits again, see
`tvm_sparse.relay_passes.pack_nibbles`; others stay in float. Four-bit weights of layers whose
activations are quantized too, become bytes of the same meaning. The operators of the domain
``com.microsoft`` are described in ONNX Runtime's ``docs/ContribOperators.md``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tvm_sparse.errors import ModelError
from tvm_sparse.nibbles import BITS, PER_WORD
from tvm_sparse.precision import Precision

Array = npt.NDArray[Any]
_FOUR = {TensorProto.INT4: TensorProto.INT8, TensorProto.UINT4: TensorProto.UINT8}
_READ = ("MatMulNBits", "GatherBlockQuantized", "DequantizeLinear")
_BITS = (2, 4, 8)
_SUFFIX = re.compile(r"(_matmul)?(_DQ)?_Q\d+$")  # that the quantizer appends to names


@dataclass
class FewBits:
    """What was found.

    Parameters
    ----------
    precisions : dict of str to Precision
        By the name of a weight's initializer.
    floats : dict of str to str
        What to tell of weights that are stored in more bits than in the file, by the same names.
    """

    precisions: dict[str, Precision] = field(default_factory=dict)
    floats: dict[str, str] = field(default_factory=dict)


def spell_few_bits(model: onnx.ModelProto) -> tuple[onnx.ModelProto, FewBits]:
    """Return a model whose weights of few bits are floats or bytes; others as they are.

    Raises
    ------
    ModelError
        If a weight's numbers are not in the file, or have other bits than 2, 4 or 8.
    """
    found = FewBits()
    if not any(node.op_type in _READ for node in model.graph.node):
        return model, found
    spelled = onnx.ModelProto()
    spelled.CopyFrom(model)
    speller = _Speller(spelled.graph, found)
    nodes = [new for node in model.graph.node for new in speller.spelled(node)]
    del spelled.graph.node[:]
    spelled.graph.node.extend(nodes)
    _forget(spelled.graph)
    return spelled, found


def _forget(graph: onnx.GraphProto) -> None:
    """Drop the initializers that nobody reads any more."""
    read = {name for node in graph.node for name in node.input}
    read |= {value.name for value in graph.output}
    kept = [each for each in graph.initializer if each.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


class _Speller:
    """A graph whose weights are spelled out, one node after another."""

    def __init__(self, graph: onnx.GraphProto, found: FewBits) -> None:
        self.graph, self.found = graph, found
        self._tensors = {each.name: each for each in graph.initializer}
        self._activations = {
            node.output[0]
            for node in graph.node
            if node.op_type == "DequantizeLinear" and node.input[0] not in self._tensors
        }
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)

    def spelled(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return what stands in a node's place."""
        known = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type == "MatMulNBits":
            return self._product(node, known)
        if node.op_type == "GatherBlockQuantized":
            return self._rows(node, known)
        tensor = self._tensors.get(node.input[0]) if node.input else None
        if node.op_type != "DequantizeLinear" or tensor is None:
            return [_renamed(node)]
        if known.get("block_size", 0) or (
            tensor.data_type in _FOUR and not self._between_bytes(node.output[0])
        ):
            return self._dequantized(node, tensor, known)
        self._widen(node)
        return [node]

    def _product(self, node: onnx.NodeProto, known: dict[str, Any]) -> list[onnx.NodeProto]:
        """Return a product with a float weight of shape (K, N), and a bias."""
        filters, channels = int(known["N"]), int(known["K"])
        bits, group = int(known.get("bits", 4)), int(known["block_size"])
        numbers = _unpacked(self._array(node, 1), bits, filters, node)[:, :channels]
        scale = self._array(node, 2).reshape(filters, -1)
        zero = self._zero(node, bits, scale.shape)
        which = np.arange(channels) // group
        if len(node.input) > 4 and node.input[4]:
            which = self._array(node, 4)
        weight = (numbers - zero[:, which]) * scale[:, which]
        name = self._store(node.input[1], weight.T, bits, group)
        biased = len(node.input) > 5 and node.input[5]
        value = f"{node.output[0]}_unbiased" if biased else node.output[0]
        nodes = [helper.make_node("MatMul", [node.input[0], name], [value], name=_short(node.name))]
        if biased:
            nodes.append(helper.make_node("Add", [value, node.input[5]], [node.output[0]]))
        return nodes

    def _zero(self, node: onnx.NodeProto, bits: int, shape: tuple[int, ...]) -> Array:
        """Return the zero point of each filter and block; the middle number if there is none."""
        if len(node.input) < 4 or not node.input[3]:
            return np.full(shape, 1 << (bits - 1), np.float32)
        zero = self._array(node, 3)
        if zero.dtype == np.uint8:
            zero = _unpacked(zero, bits, shape[0], node)[:, : shape[1]]
        return zero.reshape(shape).astype(np.float32)

    def _rows(self, node: onnx.NodeProto, known: dict[str, Any]) -> list[onnx.NodeProto]:
        """Return a gather from a table of floats."""
        numbers, axis = self._array(node, 0), int(known.get("quantize_axis", 1))
        bits, packed = int(known.get("bits", 4)), self._tensors[node.input[0]].data_type
        shift = 0
        if packed == TensorProto.UINT8:  # the last axis is packed
            shape = (*numbers.shape[:-1], -1)
            numbers = _unpacked(numbers, bits, numbers.size // numbers.shape[-1], node)
            numbers, shift = numbers.reshape(shape), 1 << (bits - 1)
        scale = self._array(node, 2)
        zero: Array | int = shift
        if len(node.input) > 3 and node.input[3]:
            zero = self._array(node, 3)
            if zero.dtype == np.uint8:
                zero = _unpacked(zero, bits, scale.size // scale.shape[-1], node)
                zero = zero.reshape(*scale.shape[:-1], -1)[..., : scale.shape[-1]]
        group = int(known.get("block_size", 128))
        table = _blocks(numbers, scale, zero, axis, group)
        name = self._store(node.input[0], table, bits, 0)
        options = {"axis": int(known.get("gather_axis", 0))}
        return [helper.make_node("Gather", [name, node.input[1]], [node.output[0]], **options)]

    def _dequantized(
        self, node: onnx.NodeProto, tensor: TensorProto, known: dict[str, Any]
    ) -> list[onnx.NodeProto]:
        """Put the floats that a constant stands for in the place of its dequantization."""
        numbers, scale = self._array(node, 0), self._array(node, 1)
        zero = self._array(node, 2) if len(node.input) > 2 and node.input[2] else 0
        axis, group = int(known.get("axis", 1)) % numbers.ndim, int(known.get("block_size", 0))
        channels = numbers.shape[axis]
        if group:
            weight = _blocks(numbers, scale, zero, axis, group)
        else:
            along = [1] * numbers.ndim
            along[axis] = -1
            parts = (np.asarray(each, np.float32) for each in (zero, scale))
            zero, scale = (each.reshape(along if each.size > 1 else -1) for each in parts)
            weight, group = (numbers - zero) * scale, numbers.size // channels
        bits = BITS if tensor.data_type in _FOUR else 8
        self._store(node.output[0], weight, bits, group, name=node.output[0])
        return []

    def _between_bytes(self, weight: str) -> bool:
        """Whether those who read a weight read dequantized activations beside it."""
        readers = self._readers.get(weight, [])
        return bool(readers) and all(node.input[0] in self._activations for node in readers)

    def _widen(self, node: onnx.NodeProto) -> None:
        """Make bytes of a node's numbers of four bits."""
        for name in (node.input[0], *node.input[2:3]):
            tensor = self._tensors.get(name)
            if tensor is not None and tensor.data_type in _FOUR:
                wide = helper.tensor_dtype_to_np_dtype(_FOUR[tensor.data_type])
                tensor.CopyFrom(
                    numpy_helper.from_array(numpy_helper.to_array(tensor).astype(wide), name)
                )

    def _store(self, old: str, weight: Array, bits: int, group: int, name: str = "") -> str:
        """Add an initializer of floats, and note its bits; return its name."""
        short = _SUFFIX.sub("", old)
        name = name or (old if short in self._tensors else short)
        name = f"{name}_real" if name in self._tensors else name
        group = -(-group // PER_WORD) * PER_WORD
        is_float = weight.dtype == np.float32
        if is_float and bits <= BITS and group:
            self.found.precisions[name] = Precision(name="int4", group=group)
        else:
            self.found.floats[name] = f"weights of {bits} bits are stored as {weight.dtype}"
        stored = numpy_helper.from_array(np.ascontiguousarray(weight), name)
        self.graph.initializer.append(stored)
        self._tensors[name] = stored
        return name

    def _array(self, node: onnx.NodeProto, place: int) -> Array:
        """Return an input that must be constant; four bits come as bytes, scales as floats."""
        name = node.input[place]
        if name not in self._tensors:
            raise ModelError(
                f"{node.op_type} {node.name or node.output[0]!r} reads {name!r}, which is "
                "computed; expected an initializer: its weights, scales and zero points must be "
                "constants of the file"
            )
        value: Array = numpy_helper.to_array(self._tensors[name])
        four = self._tensors[name].data_type in _FOUR
        return value.astype(np.int8) if four else value


def _unpacked(packed: Array, bits: int, rows: int, node: onnx.NodeProto) -> Array:
    """Return (rows, n) numbers from bytes, the first number in the lowest bits."""
    if bits not in _BITS:
        raise ModelError(
            f"{node.op_type} {node.name or node.output[0]!r} has weights of {bits} bits; expected "
            f"{', '.join(map(str, _BITS))}: quantize it with another number of bits"
        )
    places = np.arange(0, 8, bits)
    numbers = (packed.reshape(rows, -1, 1) >> places) & ((1 << bits) - 1)
    return numbers.reshape(rows, -1).astype(np.float32)


def _blocks(numbers: Array, scale: Array, zero: Any, axis: int, group: int) -> Array:
    """Return numbers whose blocks along an axis have a scale and a zero point, as floats."""
    size = numbers.shape[axis]

    def spread(each: Any) -> Array:
        each = np.asarray(each)
        return np.repeat(each, group, axis).take(np.arange(size), axis) if each.ndim else each

    real: Array = (numbers.astype(scale.dtype) - spread(zero).astype(scale.dtype)) * spread(scale)
    return real


def _short(name: str) -> str:
    """Return a node's name without what the quantizer appended."""
    return _SUFFIX.sub("", name)


def _renamed(node: onnx.NodeProto) -> onnx.NodeProto:
    node.name = _short(node.name) if node.op_type == "MatMul" else node.name
    return node
