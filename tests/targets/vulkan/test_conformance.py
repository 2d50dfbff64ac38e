"""Every format, and every kind of layer, on a GPU: a kernel is the dense operator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support import kernels, workgroups
from support.formats import blocks, pruned
from support.layers import LAYERS
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
        "1×1 stride 2",
        "stride 3, dilation 2",
        "a single pixel",
        "wide rows",
        "linear, nested rows",
    ],
)
def test_every_kind_of_layer_equals_the_dense_operator(which: str, device: Any) -> None:
    layer = LAYERS[which]
    workgroups.check_floats(layer, weight_of(layer, "unstructured"), device)
