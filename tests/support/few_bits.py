"""ONNX models with weights of few bits, packed by ONNX Runtime itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi import _pybind_state as runtime

Array = npt.NDArray[Any]
PACK = {
    2: runtime.quantize_matmul_2bits,
    4: runtime.quantize_matmul_4bits,
    8: runtime.quantize_matmul_8bits,
}


class Model:
    """A chain of layers, each of which reads what the last one gave.

    Parameters
    ----------
    shape : tuple of int
        Of the input ``x``.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.nodes, self.tensors = shape, [], []  # type: ignore[var-annotated]

    @property
    def _last(self) -> str:
        return self.nodes[-1].output[0] if self.nodes else "x"

    def add(self, name: str, value: Array) -> str:
        """Add a constant."""
        self.tensors.append(numpy_helper.from_array(value, name))
        return name

    def packed(self, weight: Array, block: int, bits: int = 4, symmetric: bool = False) -> None:
        """Add a ``MatMulNBits`` by a weight (K, N), as ``MatMulNBitsQuantizer`` packs it."""
        channels, filters = weight.shape
        number, each = -(-channels // block), 8 // bits
        padded = np.pad(weight, ((0, number * block - channels), (0, 0)))
        packed = np.zeros((filters, number, block // each), np.uint8)
        zeros = np.zeros((filters, -(-number // each)), np.uint8)
        scales = np.zeros((filters, number), np.float32)
        PACK[bits](packed, padded, scales, zeros, block, filters, channels, symmetric)
        name = f"layer{len(self.nodes)}"
        parts = {"Q4": packed, "scales": scales} | ({} if symmetric else {"zero_points": zeros})
        self.node(
            "MatMulNBits",
            *(self.add(f"{name}.weight_{part}", value) for part, value in parts.items()),
            domain="com.microsoft",
            K=channels,
            N=filters,
            bits=bits,
            block_size=block,
        )

    def dequantized(self, weight: Array, block: int, symmetric: bool = False) -> None:
        """Add a product with a weight (K, N) of blocks along K, in the format QDQ."""
        channels, filters = weight.shape
        number = -(-channels // block)
        packed = np.zeros((weight.size + 1) // 2, np.uint8)
        zeros = np.zeros((number * filters + 1) // 2, np.uint8)
        scales = np.zeros((number, filters), np.float32)
        runtime.quantize_qdq_matmul_4bits(
            packed, weight, scales, zeros, block, filters, channels, symmetric
        )
        kind = TensorProto.INT4 if symmetric else TensorProto.UINT4
        name = f"layer{len(self.nodes)}.weight"
        read = [f"{name}_Q4", self.add(f"{name}_scales", scales)]
        raw = helper.make_tensor(read[0], kind, weight.shape, packed.tobytes(), raw=True)
        self.tensors.append(raw)
        if not symmetric:
            read.append(f"{name}_zeros")
            self.tensors.append(
                helper.make_tensor(read[2], kind, scales.shape, zeros.tobytes(), raw=True)
            )
        before = self._last
        options = {"axis": 0, "block_size": block}
        self.nodes.append(helper.make_node("DequantizeLinear", read, [name], **options))
        self.nodes.append(helper.make_node("MatMul", [before, name], [f"y{len(self.nodes)}"]))

    def node(self, op: str, *constants: str, **options: Any) -> None:
        """Add a node that reads the last one's result."""
        read, stored = [self._last, *constants], f"y{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, read, [stored], **options))

    def proto(self) -> onnx.ModelProto:
        """Return the model."""
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(self._last, TensorProto.FLOAT, None)],
            self.tensors,
        )
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)
