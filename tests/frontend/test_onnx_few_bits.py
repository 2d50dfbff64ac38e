"""Weights of few bits that another tool packed keep their values, and their bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import QuantType
from torch import nn

import tvm_sparse as ts
from support import kernels
from support.few_bits import Model
from support.quantized_onnx import quantized
from tvm_sparse import nibbles
from tvm_sparse.errors import ModelError
from tvm_sparse.frontend.onnx_few_bits import spell_few_bits

Array = npt.NDArray[Any]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 90)).astype(np.float32)


def weight(channels: int, filters: int) -> Array:
    return RNG.standard_normal((channels, filters)).astype(np.float32)


def run(model: onnx.ModelProto, x: Array) -> Array:
    """Return what ONNX Runtime answers, computing with floats as we do."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    answer: Array = session.run(None, {"x": x})[0]
    return answer


def test_packed_products_of_every_kind_equal_onnx_runtime() -> None:
    model = Model(X.shape)
    model.packed(weight(90, 70), block=32)
    model.node("Relu")
    model.packed(weight(70, 64), block=16, symmetric=True)
    model.packed(weight(64, 33), block=32, bits=2)
    compiled = ts.build(model.proto(), database=False)
    kernels.assert_close(compiled(X), run(model.proto(), X))
    assert {row.name: row.bits for row in compiled.report} == {
        "layer0": 4,
        "layer2": 4,
        "layer3": 4,
    }
    assert compiled.report.notes == []


@pytest.mark.parametrize("symmetric", [True, False])
def test_codes_stand_for_the_very_same_floats(symmetric: bool) -> None:
    model = Model(X.shape)
    model.packed(weight(90, 70), block=32, symmetric=symmetric)
    spelled, found = spell_few_bits(model.proto())
    (name,) = found.precisions
    floats = next(numpy_helper.to_array(t) for t in spelled.graph.initializer if t.name == name)
    stored = nibbles.find_integers(floats.T, found.precisions[name].group)
    assert stored is not None and (stored.zero is None) == symmetric
    np.testing.assert_array_equal(stored.dense(), floats.T)


def test_dequantized_weights_of_four_bits_equal_onnx_runtime() -> None:
    model = Model(X.shape)
    model.dequantized(weight(90, 70), block=32)
    model.dequantized(weight(70, 33), block=70, symmetric=True)
    compiled = ts.build(model.proto(), database=False)
    kernels.assert_close(compiled(X), run(model.proto(), X))
    assert [(row.name, row.bits) for row in compiled.report] == [("layer0", 4), ("layer2", 4)]


def test_zeros_are_skipped_and_their_pattern_is_found_under_zero_points() -> None:
    pruned = weight(96, 64)
    pruned *= np.repeat(RNG.random((96, 4)) < 0.2, 16, axis=1)
    model = Model((1, 96))
    model.packed(pruned, block=32)
    x, proto = X[0, :1, :1] * np.ones((1, 96), np.float32), model.proto()
    compiled = ts.build(proto, database=False)
    row = compiled.report["layer0"]
    assert row.is_sparse and row.density < 0.25 and row.found.startswith("block-16x1")
    kernels.assert_close(compiled(x), run(proto, x))


def test_weights_that_codes_cannot_say_stay_in_float_and_are_named() -> None:
    model = Model(X.shape)
    model.packed(weight(90, 70), block=32, bits=8)
    model.packed(weight(70, 33), block=32)
    zeros = model.tensors[-1]
    shape, name = (33, 3), zeros.name
    real = RNG.uniform(0, 15, shape).astype(np.float32)
    zeros.CopyFrom(numpy_helper.from_array(real, name))
    compiled = ts.build(model.proto(), database=False)
    kernels.assert_close(compiled(X), run(model.proto(), X))
    assert [row.bits for row in compiled.report] == [32, 32]
    first, second = compiled.report.notes
    assert first == "layer0: weights of 8 bits are stored as float32"
    assert second.startswith("layer1 stays in float: its weights are not what codes of int4-32")


def test_weights_of_four_bits_beside_bytes_become_bytes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).eval(), torch.rand(1, 3, 7, 9)
    path = quantized(model, x, tmp_path, weight_type=QuantType.QInt4)
    kinds = {each.data_type for each in onnx.load(path).graph.initializer}
    assert TensorProto.INT4 in kinds
    compiled = ts.build(path, database=False)
    expected = run(onnx.load(path), x.numpy())
    assert np.abs(compiled(x.numpy()) - expected).max() <= 1.01 * np.abs(expected).max() / 127
    assert [row.is_integer for row in compiled.report] == [True]


def test_tables_of_four_bits_are_read_by_rows() -> None:
    table = RNG.integers(0, 16, (20, 64)).astype(np.uint8)
    model = Model((2, 3))
    model.add("table", table[:, ::2] | table[:, 1::2] << 4)
    model.add("scales", RNG.random((20, 2)).astype(np.float32))
    options = {"gather_axis": 0, "quantize_axis": 1, "block_size": 32, "domain": "com.microsoft"}
    model.node("GatherBlockQuantized", "scales", **options)
    model.nodes[0].input[:] = ["table", "x", "scales"]
    proto, x = model.proto(), np.array([[1, 0, 19], [3, 3, 7]])
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    kernels.assert_close(ts.build(proto, database=False)(x), run(proto, x))


def test_weights_that_are_not_in_the_file_are_refused() -> None:
    model = Model(X.shape)
    model.packed(weight(90, 70), block=32)
    del model.tensors[1]
    with pytest.raises(ModelError, match=r"'layer0.weight_scales', which is computed; expected an"):
        ts.build(model.proto())


def test_other_numbers_of_bits_are_refused() -> None:
    model = Model(X.shape)
    model.packed(weight(90, 70), block=32)
    next(each for each in model.nodes[0].attribute if each.name == "bits").i = 3
    with pytest.raises(ModelError, match="has weights of 3 bits; expected 2, 4, 8"):
        ts.build(model.proto())
