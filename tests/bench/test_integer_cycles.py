"""Modelled cycles of integer layers, over those of floats."""

from __future__ import annotations

import dataclasses
import json

import pytest

from support.kernels import weights
from tvm_sparse import targets
from tvm_sparse.bench import integer_cycles_table, layer_kernels, layers
from tvm_sparse.bench.integer_cycles import IntegerCycleRow, modelled
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme

ROW = IntegerCycleRow(
    case="192→64 1×1 @14",
    set="mobilenet_v2",
    scheme="block_punched-4x4@0.2",
    target="rpi5",
    core="cortex-a76",
    int8=2e5,
    float32=6e5,
    macs=17.8,
    stored="block_punched-4x4@0.2/8",
)


def test_a_table_compares_with_floats_and_says_what_was_left_out() -> None:
    slower = dataclasses.replace(ROW, case="other", int8=6e5, stored="dense/8", number=3)
    text = integer_cycles_table.markdown([ROW, slower])
    assert "| 192→64 1×1 @14 | block_punched-4x4@0.2 | rpi5 | 0.2 | 0.6 | 3.00 | 17.8 |" in text
    assert "1.00 (stays dense)" in text
    assert "2 cases, 1.73× float32 (worst 1.00×), 1.20× together" in text
    assert "not measured" in text
    assert json.loads(json.dumps(integer_cycles_table.to_json([ROW])))["rows"][0]["ratio"] == 3.0


@pytest.mark.arm
@pytest.mark.usefixtures("modelling")
def test_bytes_take_less_than_half_of_the_cycles_that_floats_take() -> None:
    layer = Layer(op="conv2d", weight=(32, 256, 1, 1), input=(1, 8, 16))
    weight = layers.pruned(weights(layer), Scheme.parse("block_punched-4x4@0.2"))
    target = dataclasses.replace(targets.load("rpi5"), cores=1)
    in_bytes, in_floats = (
        modelled(kernel(layer, weight, target), target).cycles
        for kernel in (layer_kernels.int8, layer_kernels.float32)
    )
    assert in_bytes < in_floats / 2
