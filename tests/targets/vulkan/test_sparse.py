"""Sparse and dense layers over workgroups: every format, on the device and as source for others."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
import tvm
from torch import nn

import tvm_sparse as ts
from support import kernels
from support.formats import pruned
from support.models import Perceptron, Residual, settle
from support.workgroups import bind, check_floats, scheduled
from tvm_sparse.layer import Layer

vulkan = pytest.mark.vulkan


def conv(weight: tuple[int, ...], size: tuple[int, ...], **window: object) -> Layer:
    return Layer(op="conv2d", weight=weight, input=size, **window)  # type: ignore[arg-type]


LAYERS = {
    "ragged 3×3": conv((10, 37, 3, 3), (1, 9, 11), padding=(1, 1, 1, 1)),
    "unequal padding, stride 2, batch 2": conv(
        (13, 6, 3, 3), (2, 9, 11), padding=(1, 2, 0, 1), stride=(2, 2)
    ),
    "dilation 2": conv((12, 4, 3, 3), (1, 10, 10), padding=(2, 2, 2, 2), dilation=(2, 2)),
    "1×1, batch 3": conv((40, 70, 1, 1), (3, 7, 7)),
    "7×7 stride 2": conv((8, 3, 7, 7), (1, 30, 30), padding=(3, 3, 3, 3), stride=(2, 2)),
    "four pixels": conv((64, 48, 3, 3), (1, 2, 2), padding=(1, 1, 1, 1)),
    "linear, one row": Layer(op="linear", weight=(40, 33), input=(1,)),
    "linear, a batch of one": Layer(op="linear", weight=(40, 33), input=(1, 21)),
    "linear, many rows": Layer(op="linear", weight=(64, 148), input=(150,)),
}


@vulkan
@pytest.mark.parametrize("which", LAYERS)
def test_a_layer_in_blocks_equals_the_dense_operator(which: str, device: Any) -> None:
    layer = LAYERS[which]
    check_floats(layer, pruned(kernels.weights(layer), "one_by_n", (4,)), device)


@vulkan
@pytest.mark.parametrize("which", ["ragged 3×3", "7×7 stride 2", "linear, many rows"])
def test_all_dense_and_all_zero_layers_are_layers_too(which: str, device: Any) -> None:
    layer = LAYERS[which]
    check_floats(layer, kernels.weights(layer), device, skips=False)
    check_floats(layer, np.zeros(layer.weight, np.float32), device)


@vulkan
def test_indices_of_64_bits_find_the_same(device: Any) -> None:
    layer = LAYERS["four pixels"]
    check_floats(layer, pruned(kernels.weights(layer), "one_by_n", (4,)), device, narrow=False)


@vulkan
@torch.no_grad()
def test_networks_are_sparse_with_fused_epilogues(device: Any) -> None:
    torch.manual_seed(0)
    model = settle(nn.Sequential(nn.Conv2d(8, 32, 1), nn.BatchNorm2d(32), Residual(32, nn.GELU())))
    ts.prune(model, {"0": "one_by_n-4@0.2", "2.conv": "one_by_n-4@0.2"})
    x = torch.randn(2, 8, 13, 9)
    compiled = ts.build(model, "vulkan", example_inputs=(x,))
    assert [row.stored for row in compiled.report] == ["block_punched-4x1"] * 2
    assert (compiled(x) - model(x)).abs().max() < 1e-4 * model(x).abs().max()
    assert compiled.mod is not None
    called = set(re.findall(r"cls\.(\w+)\(", compiled.mod.script()))
    assert called == {"fused_sparse_conv2d_add", "fused_sparse_conv2d1_add_add1_gelu"}


@vulkan
@torch.no_grad()
def test_linear_layers_on_nested_rows_are_sparse(device: Any) -> None:
    torch.manual_seed(0)
    model = Perceptron(32, 64).eval()
    ts.prune(model, {"up": "one_by_n-8@0.2", "down": "one_by_n-8@0.2"})
    x = torch.randn(2, 5, 32)
    compiled = ts.build(model, "vulkan", example_inputs=(x,))
    assert all(row.is_sparse for row in compiled.report)
    assert (compiled(x) - model(x)).abs().max() < 1e-4 * model(x).abs().max()
    assert compiled.mod is not None
    called = set(re.findall(r"cls\.(\w+)\(", compiled.mod.script()))
    assert {"fused_sparse_linear_add_gelu", "fused_sparse_linear1_add1_add2"} <= called


@pytest.mark.parametrize("kind", ["cuda", "opencl", "metal"])
def test_the_same_schedule_is_source_for_other_gpus(kind: str) -> None:
    layer = LAYERS["ragged 3×3"]
    weight = pruned(kernels.weights(layer), "one_by_n", (4,))
    sizes = {"max_threads_per_block": 256, "max_shared_memory_per_block": 32768}
    arch = {"arch": "sm_80"} if kind == "cuda" else {}
    target = tvm.target.Target({"kind": kind, **sizes, **arch}, host="llvm")
    mod = scheduled(bind(layer, weight).func, target)
    function = tvm.tirx.build(mod, target=target, pipeline="s_tir")
    source = function.imports[0].inspect_source()
    shared = {"cuda": "__shared__", "opencl": "__local", "metal": "threadgroup"}[kind]
    assert shared in source and "barrier" in source.replace("__syncthreads", "barrier")
