from __future__ import annotations

import json

import numpy as np
import pytest
import tvm
from tvm import relax

from support.relax import apply, ops
from tvm_sparse import formats, targets
from tvm_sparse.bench.layers import relax_layer
from tvm_sparse.errors import TargetError
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import record
from tvm_sparse.relay_passes.lower_dense import LowerDense
from tvm_sparse.relay_passes.pack_sparse import PackSparse

LAYER = Layer(op="conv2d", weight=(64, 64, 3, 3), input=(1, 28, 28), padding=(1, 1, 1, 1))


def module(density: float) -> tvm.IRModule:
    weight = np.random.default_rng(0).standard_normal(LAYER.weight).astype(np.float32)
    weight *= formats.get("block_punched").mask(abs(weight), density, (8, 4))
    return relax_layer(LAYER, weight)


def test_a_layer_with_enough_zeros_becomes_a_call_of_a_sparse_kernel() -> None:
    after = apply(PackSparse(targets.load("x86")), module(0.2))
    assert ops(after) == ["tir:sparse_conv2d"]
    (row,) = record.read(after).rows
    assert row.found == row.stored
    assert row.found.startswith("block_punched-8x4@")
    assert row.density == pytest.approx(0.2, abs=0.01)
    assert row.nbytes < 0.25 * row.dense_nbytes


def test_a_layer_without_zeros_is_left_to_the_dense_pass() -> None:
    target = targets.load("x86")
    after = apply(PackSparse(target), module(1.0))
    assert ops(after) == ["nn.conv2d"]
    assert record.read(after).rows[0].reason == "no zeros"
    assert ops(apply(LowerDense(target), after)) == ["tir:dense_conv2d"]


def test_too_few_zeros_stay_dense_and_the_report_says_why() -> None:
    after = apply(PackSparse(targets.load("x86")), module(0.97))
    assert ops(after) == ["nn.conv2d"]
    assert "as fast as dense" in record.read(after).rows[0].reason


def test_passes_take_their_target_from_the_scope() -> None:
    with tvm.target.Target({"kind": "llvm", "mcpu": "x86-64-v3", "num-cores": 1}):
        after = tvm.transform.Sequential([PackSparse(), LowerDense()])(module(0.2))
    assert ops(after) == ["tir:sparse_conv2d"]
    assert "of 8 positions" in record.read(after).rows[0].kernel


def test_without_a_target_the_error_says_how_to_give_one() -> None:
    with pytest.raises(TargetError, match=r"with tvm\.target\.Target"):
        apply(PackSparse(), module(0.2))


def test_layers_of_other_types_are_reported_as_untouched() -> None:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 4, 8, 8), "float16"))
    with builder.function("main", [x]):
        with builder.dataflow():
            weight = relax.const(np.ones((4, 4, 1, 1), np.float16), "float16")
            out = builder.emit_output(relax.op.nn.conv2d(x, weight))
        builder.emit_func_output(out)
    after = apply(PackSparse(targets.load("x86")), builder.get())
    (row,) = record.read(after).rows
    assert (row.stored, row.kernel) == ("untouched", "TVM's own")
    assert "float16" in row.reason


def test_the_report_travels_as_json() -> None:
    after = apply(PackSparse(targets.load("x86")), module(0.2))
    content = json.loads(record.read(after).to_json())
    assert content["layers"][0]["weight"] == [64, 64, 3, 3]
