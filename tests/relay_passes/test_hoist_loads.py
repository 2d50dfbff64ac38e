"""Kernels for cores that execute in order load first, and compute the same."""

from __future__ import annotations

import dataclasses
import re

import pytest

from support import kernels
from support.formats import pruned
from tvm_sparse import implement, targets
from tvm_sparse.formats.protocol import Block
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target

LAYERS = {
    "1×1": Layer(op="conv2d", weight=(20, 33, 1, 1), input=(2, 7, 9)),
    "3×3, groups": Layer(
        op="conv2d", weight=(16, 7, 3, 3), input=(1, 9, 11), padding=(1, 1, 1, 1), groups=2
    ),
    "rows": Layer(op="linear", weight=(24, 35), input=(13,)),
}
FORMATS: list[tuple[str, Block]] = [
    ("unstructured", ()),
    ("one_by_n", (4,)),
    ("block", (8, 1)),
    ("block_punched", (2, 3)),
]


@pytest.mark.parametrize("which", LAYERS)
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: "-".join(map(str, (form[0], *form[1]))))
def test_sparse_kernels_equal_the_dense_operator(
    which: str, form: tuple[str, Block], x86: Target
) -> None:
    layer, target = LAYERS[which], dataclasses.replace(x86, in_order=True)
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    half = layer.filters // layer.groups // 2
    weight = pruned(weight, *form, density=0.5)
    weight[half : half + 8] = 0  # lists of unequal length, and empty ones
    choice = kernels.stored_as(layer, weight, *form, target)
    actual = kernels.run_sparse(choice, weight, x, target)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


@pytest.mark.parametrize("which", LAYERS)
def test_dense_kernels_equal_the_dense_operator(which: str, x86: Target) -> None:
    layer, target = LAYERS[which], dataclasses.replace(x86, in_order=True)
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    actual = kernels.run_dense(layer, weight, x, target)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


def test_each_of_eight_taps_loads_and_then_multiplies() -> None:
    layer, target = LAYERS["1×1"], targets.load("rpi3")
    weight = pruned(kernels.weights(layer), "one_by_n", (4,), density=0.5)
    choice = kernels.stored_as(layer, weight, "one_by_n", (4,), target)
    text = kernels.assembly(implement.sparse(choice, weight).func, target)
    found = re.findall(r"^\s+(ldp|ldr|fmla)\s+[qv]", text, re.MULTILINE)
    order = "".join("m" if name == "fmla" else "l" for name in found)
    assert re.search("(l{2,}m{8,}){8}", order)
