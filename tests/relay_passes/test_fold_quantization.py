"""Layers between dequantization and quantization are integer kernels, and compute the same."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import tvm
from torch import Tensor, nn

import tvm_sparse as ts
from support import kernels, models, relax
from support.naive import naive_loops
from tvm_sparse.relay_passes import pipeline, record
from tvm_sparse.relay_passes.fold_quantization import FoldQuantization
from tvm_sparse.targets import Target

torch.manual_seed(0)


def quantized(model: nn.Module, *size: int, **options: object) -> tuple[tvm.IRModule, Tensor]:
    x = torch.rand(*size)
    mod = ts.quantize(models.settle(model), [x], **options)  # type: ignore[arg-type]
    return tvm.transform.Sequential(pipeline.simplify())(mod), x


def folded(model: nn.Module, target: Target, *size: int, **options: object) -> list[str]:
    """The operators after folding; compiled, they compute what was there, a few steps aside."""
    mod, x = quantized(model, *size, **options)
    compiled = ts.build(mod, target)
    assert naive_loops(compiled.mod) == []
    kernels.assert_close(compiled(x.numpy()), relax.run(mod, x.numpy()), 0.02)
    return [
        re.sub(r"(conv2d|linear|add|quantize|pool)\d+$", r"\1", op)
        for op in relax.ops(relax.apply(FoldQuantization(target), mod))
    ]


def test_a_residual_network_is_integers_from_end_to_end(x86: Target) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU6(),
        nn.MaxPool2d(3, 2, 1),
        models.Residual(16, nn.ReLU()),
        nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16),
        nn.ReLU(),
        nn.Conv2d(16, 10, 1),
    )
    assert folded(model, x86, 2, 3, 13, 15) == [
        "tir:quantize",
        "tir:integer_conv2d",
        "tir:max_pool",
        "tir:integer_conv2d_add",
        "tir:integer_conv2d",
        "tir:integer_conv2d",
    ]


@pytest.mark.parametrize("symmetric", [False, True], ids=["unsigned", "signed"])
def test_linear_layers_keep_rows_in_words(symmetric: bool, x86: Target) -> None:
    model = nn.Sequential(nn.Linear(33, 40), nn.ReLU(), nn.Linear(40, 10))
    ops = folded(model, x86, 3, 7, 33, symmetric=symmetric)
    assert [op for op in ops if op.startswith("tir")] == [
        "tir:quantize",
        "tir:integer_linear",
        "tir:integer_linear",
    ]


def test_what_else_reads_a_quantized_tensor_reads_its_words(x86: Target) -> None:
    class Squeeze(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Conv2d(8, 12, 1), nn.Conv2d(12, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.up(x)
            z: Tensor = self.down(y) * torch.sigmoid(y.mean((2, 3), keepdim=True)).mean()
            return z

    ops = folded(Squeeze(), x86, 1, 8, 9, 9)
    assert sorted(ops[:4]) == [
        "tir:dequantize",
        "tir:integer_conv2d",
        "tir:integer_conv2d",
        "tir:quantize",
    ]


def test_layers_that_are_no_words_stay_in_float_and_the_report_says_so(x86: Target) -> None:
    model = nn.Sequential(nn.Conv2d(6, 12, 3, groups=3), nn.ReLU(), nn.Conv2d(12, 8, 1))
    mod, x = quantized(model, 1, 6, 9, 9)
    compiled = ts.build(mod, x86)
    assert [row.is_integer for row in compiled.report] == [True, False] or [
        row.is_integer for row in compiled.report
    ] == [False, True]
    kernels.assert_close(compiled(x.numpy()), relax.run(mod, x.numpy()), 0.02)


def test_the_report_counts_integer_layers_and_their_bytes(x86: Target) -> None:
    model = nn.Sequential(nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3))
    ts.prune(model, {"2": "block_punched-8x4@0.2"})
    mod, _ = quantized(model, 1, 16, 12, 12)
    mod = relax.apply(FoldQuantization(x86), mod)
    first, second = record.read(mod).rows
    assert (first.name, first.stored) == ("0", "dense@1.0/8")
    assert second.found.startswith("block_punched-8x4@0.2")
    assert second.stored.startswith("block_punched-8x4@")
    assert second.nbytes < 0.3 * second.dense_nbytes / 4
    assert "2 of 2 layers int8, 1 sparse" in record.read(mod).summary


def test_zeros_can_be_left_unused(x86: Target) -> None:
    model = nn.Sequential(nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3))
    ts.prune(model, {"2": "block_punched-8x4@0.2"})
    mod, x = quantized(model, 1, 16, 12, 12)
    sparse, dense = ts.build(mod, x86), ts.build(mod, x86, sparse=False)
    assert not any(row.is_sparse for row in dense.report)
    np.testing.assert_array_equal(sparse(x.numpy()), dense(x.numpy()))
