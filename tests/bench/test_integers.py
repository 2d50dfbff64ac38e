from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from tvm_sparse.bench import integers_table
from tvm_sparse.bench.integers import IntegerRow, measure_layers, measure_network
from tvm_sparse.bench.timing import Times


def row(case: str, int8: float, **rivals: float) -> IntegerRow:
    others = {name: Times(rounds=(seconds,)) for name, seconds in rivals.items()}
    return IntegerRow(
        case=case,
        scheme="block-4x4@0.2",
        threads=1,
        int8=Times(rounds=(int8,)),
        float32=Times(rounds=(0.008,)),
        rivals=others,
    )


def test_the_table_compares_with_floats_and_with_the_fastest_rival() -> None:
    rows = [row("a", 0.002, onnxruntime=0.006, openvino=0.005), row("b", 0.008)]
    lines = integers_table.markdown(rows).splitlines()
    first = "| a | block-4x4@0.2 | 1 | 2 ±0% | 8 ±0% | 6 ±0% | 5 ±0% | 4.00 | 2.50 | – |"
    assert first in lines
    assert "| b | block-4x4@0.2 | 1 | 8 ±0% | 8 ±0% | – | – | 1.00 | – | – |" in lines
    assert "- block-4x4@0.2: 2.00× float32 (worst 1.00×)" in lines
    assert json.loads(json.dumps(integers_table.to_json(rows)))["rows"][0]["case"] == "a"


def test_layers_and_networks_are_measured_in_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    def pruned(name: str, scheme: str, size: int) -> tuple[nn.Module, torch.Tensor]:
        return nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU()).eval(), torch.rand(1, 8, size, size)

    monkeypatch.setattr("tvm_sparse.bench.networks.pruned", pruned)
    (layer,) = measure_layers("bert", ["block-4x4@0.2"], rounds=1, limit=1)
    (network,) = measure_network("small", ["block-4x4@0.2"], 1, rounds=1, size=12)
    assert layer.int8.median > 0
    assert network.error < 0.02
    assert set(network.rivals) == {"onnxruntime", "openvino"}
