"""Register tiles that are stored from registers compute what those stored through cache do."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from tvm import tirx

import tvm_sparse as ts
from support import bounds, kernels
from support.models import settle
from tvm_sparse import choose, compat, formats, implement, kernel
from tvm_sparse.cost import Work
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.targets import Target
from tvm_sparse.tile import Tile

LAYERS = {
    "whole vectors": Layer(op="conv2d", weight=(16, 24, 1, 1), input=(1, 8, 16)),
    "ragged positions": Layer(op="conv2d", weight=(16, 24, 1, 1), input=(1, 7, 7)),
    "ragged positions, batch 3": Layer(op="conv2d", weight=(24, 20, 1, 1), input=(3, 14, 14)),
    "groups": Layer(op="conv2d", weight=(32, 6, 1, 1), input=(2, 9, 9), groups=2),
    "linear, ragged rows": Layer(op="linear", weight=(40, 33), input=(50,)),
}


def in_one_tile(best: Kernel, direct: int) -> Kernel:
    """The kernel with a single tile of positions, stored from registers or through cache."""
    tile, plane = best.tile, best.plane
    assert isinstance(tile, Tile)
    assert plane is not None
    assert plane.flat
    across = -(-plane.positions // tile.lanes)
    vectors = min(tile.vectors, across)
    run, last = across * tile.lanes, (across - 1) % vectors + 1
    tile = dataclasses.replace(tile, vectors=vectors, last=last, run=run, direct=direct, tail=0)
    return dataclasses.replace(best, tile=tile, plane=dataclasses.replace(plane, run=run))


def dense_in_tiles(layer: Layer, target: Target) -> Kernel:
    """The dense kernel with positions in lanes, for linear layers too."""
    if layer.op == "conv2d":
        return kernel.dense(layer, target)
    blocks = layer.filters // 8
    work = Work(blocks=blocks, taps=blocks * layer.taps, filters=8, indexed=False)
    return kernel.tiles(layer, work, target, rows=(8,))


def dense_outputs(layer: Layer, direct: int, target: Target, lowering: str) -> Weight:
    best = in_one_tile(dense_in_tiles(layer, target), direct)
    bound = implement.dense(layer, best, kernels.weights(layer))
    return kernels.run(layer, bound, best, kernels.inputs(layer), target, lowering)


def expected(layer: Layer) -> Weight:
    return kernels.reference(layer, kernels.inputs(layer), kernels.weights(layer))


@pytest.mark.parametrize("which", LAYERS)
def test_dense_sums_are_the_same_from_registers_as_through_cache(
    which: str, target: Target
) -> None:
    layer = LAYERS[which]
    direct, cached = (dense_outputs(layer, d, target, code_generation.NAME) for d in (1, 0))
    np.testing.assert_allclose(direct, cached, rtol=1e-5, atol=1e-5)
    kernels.assert_close(direct, expected(layer), 1e-5)


@pytest.mark.parametrize("which", ["ragged positions", "groups", "linear, ragged rows"])
def test_stores_from_registers_stay_inside_the_output(which: str, x86: Target) -> None:
    layer = LAYERS[which]
    kernels.assert_close(dense_outputs(layer, 1, x86, bounds.NAME), expected(layer), 1e-5)


@pytest.mark.parametrize("which", LAYERS)
def test_sparse_sums_are_the_same_from_registers_as_through_cache(which: str, x86: Target) -> None:
    layer = LAYERS[which]
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    weight *= formats.get("block").mask(abs(weight), 0.3, (8, 1))
    choice = kernels.stored_as(layer, weight, "block", (8, 1), x86)
    rows = choose.row_blocks(layer, weight, choice.used)
    work = Work(blocks=rows.blocks, taps=len(rows.taps), filters=rows.filters)
    best = kernel.tiles(layer, work, x86)
    direct, cached = (
        kernels.run_sparse(dataclasses.replace(choice, kernel=in_one_tile(best, d)), weight, x, x86)
        for d in (1, 0)
    )
    np.testing.assert_allclose(direct, cached, rtol=1e-5, atol=1e-5)
    kernels.assert_close(direct, kernels.reference(layer, x, weight), 1e-5)


def test_a_small_output_in_whole_tiles_is_stored_from_registers(x86: Target) -> None:
    tile = kernel.dense(LAYERS["whole vectors"], x86).tile
    assert isinstance(tile, Tile)
    assert tile.direct == 1


def test_rows_with_gaps_between_them_are_stored_through_cache(x86: Target) -> None:
    layer = Layer(op="conv2d", weight=(16, 8, 3, 3), input=(1, 14, 14), padding=(1, 1, 1, 1))
    tile = kernel.dense(layer, x86).tile
    assert isinstance(tile, Tile)
    assert tile.direct == 0


@pytest.mark.parametrize("run", [32, 48, 208], ids=["whole", "ragged tiles", "a ragged last one"])
def test_tiles_of_positions_are_stored_from_registers(run: int, target: Target) -> None:
    layer = Layer(op="conv2d", weight=(16, 24, 1, 1), input=(2, 14, 14))
    best = kernel.dense(layer, target)
    tile, plane = best.tile, best.plane
    assert isinstance(tile, Tile)
    assert plane is not None
    across = run // tile.lanes
    vectors = min(3, across)
    last = (across - 1) % vectors + 1
    tile = dataclasses.replace(tile, run=run, vectors=vectors, last=last, tail=0, in_place=0)
    plane = dataclasses.replace(plane, run=run, in_place=False)
    best = dataclasses.replace(best, tile=tile, plane=plane)
    bound = implement.dense(layer, best, kernels.weights(layer))
    for lowering in (code_generation.NAME, bounds.NAME):
        actual = kernels.run(layer, bound, best, kernels.inputs(layer), target, lowering)
        kernels.assert_close(actual, expected(layer), 1e-5)


@pytest.mark.parametrize("direct", [0, 1])
def test_sums_of_several_register_tiles_stay_in_registers(direct: int, x86: Target) -> None:
    layer = Layer(op="conv2d", weight=(16, 24, 1, 1), input=(1, 14, 14))
    best = in_one_tile(kernel.dense(layer, x86), direct)
    tile = best.tile
    assert isinstance(tile, Tile)
    vectors = 2 if x86.lanes == 16 else 3
    tile = dataclasses.replace(tile, filters=4, vectors=vectors, last=1)
    bound = implement.dense(layer, dataclasses.replace(best, tile=tile), kernels.weights(layer))
    to = x86.to_tvm()
    mod = tirx.transform.BindTarget(to.with_host(to))(kernels.scheduled(bound.func, x86))
    lowered = code_generation.pipeline()[0](mod)
    sizes: list[int] = []
    compat.visit(
        lowered["main"].body,
        tirx.AllocBuffer,
        lambda node: (
            sizes.append(math.prod(int(size) for size in node.buffer.shape))
            if node.buffer.scope() == "local"
            else None
        ),
    )
    # across image rows TVM counts the row that a vector ends in, and LLVM drops what is unused
    assert sizes
    assert max(sizes) <= 4 * (vectors * x86.lanes + 14)


class Join(nn.Module):
    """A pointwise convolution, with a residual and an activation behind it."""

    def __init__(self, channels: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x)) + x)


@pytest.mark.parametrize("scheme", ["dense", "block-8x1@0.25"])
@pytest.mark.parametrize("activation", [nn.Hardswish(), nn.GELU()], ids=str)
def test_residuals_and_activations_are_computed_on_the_way_out(
    activation: nn.Module, scheme: str
) -> None:
    torch.manual_seed(0)
    model = settle(Join(32, activation))
    if scheme != "dense":
        ts.prune(model, scheme)
    x = torch.randn(2, 32, 7, 7)
    with torch.inference_mode():
        kernels.assert_close(ts.build(model, example_inputs=(x,))(x), model(x), 1e-4)
