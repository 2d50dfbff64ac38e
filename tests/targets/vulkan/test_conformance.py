"""Every format, and every kind of layer, on a GPU: a kernel is the dense operator."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support import kernels, workgroups
from support.formats import blocks, pruned
from support.layers import LAYERS
from support.models import Residual, settle
from tvm_sparse import formats
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.layer import Layer

pytestmark = pytest.mark.vulkan

# Where each format is tried: groups where it describes something in them.
_GROUPS, _WINDOW = "three groups, dilation 2", "unequal padding, stride 2, batch 2"


def suited(name: str) -> str:
    layer = LAYERS[_GROUPS]
    part = (layer.filters // layer.groups, *layer.weight[1:])
    return _GROUPS if formats.get(name).suits(part, blocks(name)[0]) else _WINDOW


def weight_of(layer: Layer, name: str) -> Weight:
    return pruned(kernels.weights(layer), name, blocks(name)[0])


@pytest.mark.parametrize("name", formats.names())
def test_every_format_in_groups_equals_the_dense_operator(name: str, device: Any) -> None:
    layer = LAYERS[suited(name)]
    workgroups.check_floats(layer, weight_of(layer, name), device)


@pytest.mark.parametrize("name", ["block", "nm", "pattern", "unstructured"])
def test_formats_compute_in_halves(name: str, device: Any) -> None:
    layer = replace(LAYERS["ragged 3×3"], dtype="float16")
    workgroups.check_floats(layer, weight_of(layer, name), device, 1e-2)


@pytest.mark.parametrize(
    "which",
    [
        "ragged groups 5×5",
        "stride 3, dilation 2",
        "a single pixel",
        "wide rows",
        "linear, nested rows",
    ],
)
def test_every_kind_of_layer_equals_the_dense_operator(which: str, device: Any) -> None:
    layer = LAYERS[which]
    workgroups.check_floats(layer, weight_of(layer, "unstructured"), device)


@pytest.mark.parametrize("which", ["ragged 3×3", "linear, many rows"])
def test_rows_of_unequal_lengths_stand_in_another_order(which: str, device: Any) -> None:
    layer, rng = LAYERS[which], np.random.default_rng(0)
    weight = kernels.weights(layer)
    shares = np.linspace(0.02, 0.3, layer.filters)[rng.permutation(layer.filters)]
    weight[rng.random(weight.shape) > shares.reshape(-1, *[1] * (weight.ndim - 1))] = 0
    assert len(workgroups.bind(layer, weight).constants) == 4
    workgroups.check_floats(layer, weight, device)


@torch.no_grad()
def test_what_follows_rows_in_another_order_is_still_part_of_their_kernel(device: Any) -> None:
    torch.manual_seed(0)
    model = Residual(32, nn.SiLU())
    settle(model)
    ts.prune(model, {"conv": "one_by_n-8@0.2"})
    model.conv.weight.data = model.conv.weight[torch.randperm(32)]
    x = torch.randn(2, 32, 9, 9)
    compiled = ts.build(model, "vulkan", example_inputs=(x,))
    assert [row.stored for row in compiled.report] == ["block_punched-8x1"]
    kernels.assert_close(compiled(x), model(x))
    assert compiled.mod is not None
    assert len(set(re.findall(r"cls\.(\w+)\(", compiled.mod.script()))) == 1
