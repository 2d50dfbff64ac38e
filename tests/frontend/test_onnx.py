from __future__ import annotations

import io
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

import tvm_sparse as ts
from support import kernels, models
from tvm_sparse.errors import ModelError


def exported(model: nn.Module, x: torch.Tensor, **options: object) -> onnx.ModelProto:
    buffer = io.BytesIO()
    torch.onnx.export(
        model,
        (x,),
        buffer,  # type: ignore[arg-type]
        dynamo=False,
        opset_version=17,
        **options,  # type: ignore[arg-type]
    )
    return onnx.load_from_string(buffer.getvalue())


def test_a_network_with_every_kind_of_layer_equals_torch() -> None:
    model, x = models.mixed()
    compiled = ts.build(exported(model, x))
    with torch.inference_mode():
        kernels.assert_close(compiled(x), model(x))


def test_zeros_are_found_and_layers_named_in_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32))
    model = models.settle(nn.Sequential(inner, nn.ReLU(), nn.Flatten(), nn.Linear(32 * 196, 10)))
    ts.prune(model, {"0.0": "one_by_n-4@0.2", "3": "block-16x1@0.1"})
    x = torch.randn(1, 32, 14, 14)
    onnx.save(exported(model, x), tmp_path / "model.onnx")
    compiled = ts.build(tmp_path / "model.onnx")
    with torch.inference_mode():
        kernels.assert_close(compiled(x), model(x))
    assert [row.name for row in compiled.report] == ["0.0.0", "3"]
    assert [row.is_sparse for row in compiled.report] == [True, True]
    assert compiled.report["0.0.0"].found.startswith("one_by_n-4")


def test_matmul_and_gemm_are_linear_layers() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 6)).astype(np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [5, 6])],
        [helper.make_tensor("w", TensorProto.FLOAT, weight.shape, weight.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = rng.standard_normal((5, 8)).astype(np.float32)
    compiled = ts.build(model)
    kernels.assert_close(compiled(x), x @ weight)
    assert [row.op for row in compiled.report] == ["linear"]


def test_dynamic_sizes_are_fixed_by_example_inputs() -> None:
    model, x = nn.Linear(4, 3).eval(), torch.randn(2, 4)
    proto = exported(model, x, input_names=["x"], dynamic_axes={"x": {0: "n"}})
    with pytest.raises(ModelError, match="dynamic shape"):
        ts.build(proto)
    kernels.assert_close(ts.build(proto, example_inputs=(x,))(x), model(x).detach())


def test_a_wrong_number_of_example_inputs_is_refused() -> None:
    proto = exported(nn.Linear(4, 3).eval(), torch.randn(2, 4))
    with pytest.raises(ModelError, match="1 inputs"):
        ts.build(proto, example_inputs=(torch.randn(2, 4), torch.randn(2, 4)))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"cannot read .*model\.onnx"):
        ts.build(path)


def test_unsupported_operators_are_named() -> None:
    node = helper.make_node("NoSuchOperator", ["x"], ["y"], domain="mine")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [5])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    with pytest.raises(ModelError, match="NoSuchOperator"):
        ts.build(model)
