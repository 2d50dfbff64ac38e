"""ONNX models that quantize activations while they run are integer kernels as well."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

import tvm_sparse as ts
from support import kernels
from tvm_sparse.errors import ModelError

Array = npt.NDArray[Any]


def network() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=(2, 1)),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3, stride=2, padding=1, bias=False),
        nn.Flatten(2),
        nn.Linear(20, 12),
        nn.Tanh(),
        nn.Linear(12, 7, bias=False),
    ).eval()
    ts.prune(model, {"2": "block_punched-8x4@0.25"})
    return model, torch.randn(2, 3, 8, 8)


def quantized(model: nn.Module, x: torch.Tensor, folder: Path, **options: Any) -> onnx.ModelProto:
    buffer, path = io.BytesIO(), folder / "dynamic.onnx"
    torch.onnx.export(
        model,
        (x,),
        buffer,  # type: ignore[arg-type]
        dynamo=False,
        input_names=["x"],
        opset_version=17,
    )
    quantize_dynamic(onnx.load_from_string(buffer.getvalue()), path, **options)
    return onnx.load(path)


def run(model: onnx.ModelProto, x: Array, **options: Any) -> Array:
    given = onnxruntime.SessionOptions()
    for name, value in options.items():
        setattr(given, name, value)
    answer: Array = onnxruntime.InferenceSession(model.SerializeToString(), given).run(
        None, {"x": x}
    )[0]
    return answer


def assert_near(actual: Any, expected: Array) -> None:
    """Ties may be rounded otherwise: a step of a byte, in few places."""
    assert np.abs(np.asarray(actual) - expected).max() <= np.abs(expected).max() / 127
    assert np.abs(np.asarray(actual) - expected).mean() <= 1e-3 * np.abs(expected).mean()


def test_a_network_of_every_layer_answers_as_onnx_runtime(tmp_path: Path) -> None:
    model, x = network()
    given = quantized(model, x, tmp_path, per_channel=True)
    names = {node.op_type for node in given.graph.node}
    assert {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"} <= names
    compiled = ts.build(given, database=False)
    assert_near(compiled(x.numpy()), run(given, x.numpy()))
    assert [row.name for row in compiled.report] == ["0", "2", "4.MatMul", "6.MatMul"]
    assert all(row.is_integer for row in compiled.report)
    assert compiled.report["2"].is_sparse
    assert compiled.report["2"].found.startswith("block_punched-8x4")
    silent = 0 * x.numpy()  # a range of nothing
    assert_near(compiled(silent), run(given, silent))


def test_products_that_onnx_runtime_joined_are_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 24), nn.ReLU(), nn.Linear(24, 9)).eval()
    x, path = torch.randn(3, 40), tmp_path / "joined.onnx"
    given = quantized(model, x, tmp_path)
    options = {"optimized_model_filepath": str(path)}
    expected = run(given, x.numpy(), **options)
    joined = onnx.load(path)
    assert "DynamicQuantizeMatMul" in {node.op_type for node in joined.graph.node}
    compiled = ts.build(joined, database=False)
    assert_near(compiled(x.numpy()), expected)
    assert all(row.is_integer for row in compiled.report)


def product(rng: np.random.Generator, **attributes: Any) -> onnx.ModelProto:
    """An integer product whose result is nothing else."""
    tensors = [
        numpy_helper.from_array(rng.integers(-127, 128, (50, 6)).astype(np.int8), "w"),
        numpy_helper.from_array(np.uint8(7), "z"),
    ]
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w", "z"], ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [4, 50])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [4, 6])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_integer_products_give_the_same_integers() -> None:
    rng = np.random.default_rng(0)
    model, x = product(rng), rng.integers(0, 256, (4, 50)).astype(np.uint8)
    actual = ts.build(model, database=False)(x)
    assert actual.dtype == np.int32
    np.testing.assert_array_equal(actual, run(model, x))


def test_padding_that_is_not_in_numbers_is_refused(tmp_path: Path) -> None:
    given = quantized(nn.Conv2d(3, 8, 3).eval(), torch.randn(1, 3, 9, 9), tmp_path)
    node = next(node for node in given.graph.node if node.op_type == "ConvInteger")
    node.attribute.extend([helper.make_attribute("auto_pad", "SAME_UPPER")])
    with pytest.raises(
        ModelError, match="has auto_pad=SAME_UPPER; expected its padding in numbers"
    ):
        ts.build(given)


def test_unsigned_weights_are_right_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 9, 9)
    given = quantized(
        nn.Conv2d(3, 8, 3, padding=1).eval(), x, tmp_path, weight_type=QuantType.QUInt8
    )
    kernels.assert_close(ts.build(given, database=False)(x.numpy()), run(given, x.numpy()))


def test_tables_of_bytes_are_looked_up_and_added(tmp_path: Path) -> None:
    class Embedded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.layer = nn.Embedding(20, 16), nn.Linear(16, 16)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.table(x)
            z: torch.Tensor = self.layer(y) + y
            return z

    torch.manual_seed(0)
    x = torch.randint(0, 20, (2, 5))
    given = quantized(Embedded().eval(), x, tmp_path)
    compiled = ts.build(given, database=False)
    assert_near(compiled(x.numpy()), run(given, x.numpy()))
    assert [row.is_integer for row in compiled.report] == [True]
