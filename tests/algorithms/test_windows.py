"""Linear kernels whose lanes select their inputs, on vectors of 16 and of 8 lanes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support import bounds, formats, kernels
from tvm_sparse import kernel, window_kernel, windows
from tvm_sparse.choose import Choice
from tvm_sparse.formats.protocol import Block, Weight
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.tile import WindowTile

CASES = [
    ((33, 37), (2, 2), (2, 4)),  # nothing is a multiple of anything, and a batch
    ((16, 16), (1,), (1, 4)),  # one row
    ((5, 24), (3,), (3, 5)),  # fewer filters than lanes, groups across windows
    ((70, 90), (5,), (1, 16)),
    ((5, 40), (2,), (7, 8)),  # more slots than a word has indices
]


def choice(layer: Layer, weight: Weight, target: Target) -> Choice:
    number = windows.slots(weight != 0, target.lanes)
    best = window_kernel.best(layer, number, target)
    assert best is not None
    scheme, dense = Scheme(format="nm", block=(2, 4)), kernel.dense(layer, target)
    return Choice(layer=layer, found=scheme, used=scheme, kernel=best, dense=dense, reason="")


def check(layer: Layer, weight: Weight, target: Target, *lowerings: str) -> None:
    x, way = kernels.inputs(layer), choice(layer, weight, target)
    expected = kernels.reference(layer, x, weight)
    for lowering in lowerings:
        actual = kernels.run_sparse(way, weight, x, target, lowering)
        kernels.assert_close(actual, expected, 1e-5)


@pytest.mark.parametrize(("shape", "rows", "block"), CASES)
def test_any_shape_gives_what_the_dense_operator_gives_inside_its_buffers(
    shape: tuple[int, int], rows: tuple[int, ...], block: Block, target: Target
) -> None:
    layer = Layer(op="linear", weight=shape, input=rows)
    weight = formats.pruned(kernels.weights(layer), "nm", block, 1.0)
    check(layer, weight, target, bounds.NAME, code_generation.NAME)


def test_rows_of_zeros_and_a_weight_of_zeros_give_zeros(target: Target) -> None:
    layer = Layer(op="linear", weight=(40, 32), input=(3,))
    weight = formats.pruned(kernels.weights(layer), "nm", (2, 4), 1.0)
    weight[1:30] = 0
    check(layer, weight, target, code_generation.NAME)
    check(layer, np.zeros_like(weight), target, code_generation.NAME)


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_threads_divide_panels_or_rows(cores: int, x86: Target) -> None:
    layer = Layer(op="linear", weight=(96, 64), input=(30,))
    weight = formats.pruned(kernels.weights(layer), "nm", (1, 4), 1.0)
    target = replace(x86, cores=cores)
    tile = choice(layer, weight, target).kernel.tile
    assert isinstance(tile, WindowTile)
    assert tile.parallel == ("panels" if -(-96 // tile.filters) >= cores else "rows")
    check(layer, weight, target, code_generation.NAME)


def test_there_is_no_such_kernel_without_a_permutation_or_a_whole_window(x86: Target) -> None:
    linear = Layer(op="linear", weight=(64, 64), input=(16,))
    assert window_kernel.best(linear, 8, x86) is not None
    assert window_kernel.best(linear, 8, replace(x86, permute="")) is None
    assert window_kernel.best(linear, 8, replace(x86, bits=1024)) is None
    narrow = replace(linear, weight=(64, x86.lanes - 1))
    assert window_kernel.best(narrow, 2, x86) is None
    conv = Layer(op="conv2d", weight=(64, 64, 1, 1), input=(1, 4, 4))
    assert window_kernel.best(conv, 8, x86) is None
