# mypy: ignore-errors
"""Filters stand in lanes for the positions after the last whole vector."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tvm
from tvm.script import tirx as T

from support import bounds, kernels
from tvm_sparse import formats, implement, kernel, targets
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.relay_passes.narrow_last_tile import NarrowLastTile
from tvm_sparse.schedules import loops
from tvm_sparse.targets import Target
from tvm_sparse.tile import Tile

# fmt: off


@T.prim_func(s_tir=True)
def seventeen(X: T.Buffer((4, 17), "float32"), Y: T.Buffer((4, 32), "float32")):
    for p in T.serial(1, annotations={loops.LAST: 2, loops.TAIL: 1}):
        for row in T.unroll(4):
            for v in T.unroll(2, annotations={loops.VECTORS: 1}):
                for lane in T.vectorized(16):
                    with T.sblock("copy"):
                        r = T.axis.spatial(4, row)
                        i = T.axis.spatial(32, p * 32 + v * 16 + lane)
                        Y[r, i] = X[r, i]


def test_the_seventeenth_position_is_computed_for_four_filters_at_once() -> None:
    @T.prim_func(s_tir=True)
    def expected(X: T.Buffer((4, 17), "float32"), Y: T.Buffer((4, 32), "float32")):
        for row in T.unroll(4):
            for v in T.unroll(1):
                for lane in T.vectorized(16):
                    with T.sblock("copy"):
                        r = T.axis.spatial(4, row)
                        i = T.axis.spatial(32, v * 16 + lane)
                        Y[r, i] = X[r, i]
        for lane in T.unroll(1):
            for row in T.vectorized(4):
                with T.sblock("copy"):
                    r = T.axis.spatial(4, row)
                    i = T.axis.spatial(32, lane + 16)
                    Y[r, i] = X[r, i]

    after = NarrowLastTile()(tvm.IRModule({"main": seventeen}))
    tvm.ir.assert_structural_equal(simple(after["main"]), simple(expected))

# fmt: on


def simple(func):
    mod = tvm.tirx.transform.StmtSimplify()(tvm.IRModule({"main": func}))
    return mod["main"].without_attr("global_symbol").body


LAYERS = {
    "7×7": Layer(op="conv2d", weight=(24, 20, 1, 1), input=(2, 7, 7)),
    "rows of 14": Layer(op="conv2d", weight=(16, 6, 3, 3), input=(1, 14, 14), padding=(1, 1, 1, 1)),
    "groups": Layer(op="conv2d", weight=(32, 6, 1, 1), input=(1, 7, 7), groups=2),
    "linear": Layer(op="linear", weight=(40, 33), input=(33,)),
    "one position": Layer(op="conv2d", weight=(16, 24, 1, 1), input=(1, 1, 1)),
}


def in_lanes(layer: Layer, best: kernel.Kernel, filters: int) -> kernel.Kernel:
    """The kernel with one tile of all positions and a given register tile."""
    tile, plane = best.tile, best.plane
    assert isinstance(tile, Tile)
    height = layer.output[1] if layer.op == "conv2d" else 0
    rows, run = (0, -(-plane.positions // 16) * 16) if plane.flat else (height, 0)
    plane = dataclasses.replace(plane, rows=rows, run=run, step=16, in_place=False)
    tail = plane.used % 16
    assert tail
    across = plane.length // 16
    vectors = min(across, 3)
    tile = dataclasses.replace(
        tile, filters=filters, vectors=vectors, last=(across - 1) % vectors + 1, tail=tail,
        rows=rows, run=run, lanes=16, chunk=2 * filters, in_place=0,
    )  # fmt: skip
    return dataclasses.replace(best, tile=tile, plane=plane)


@pytest.mark.parametrize("direct", [0, 1])
@pytest.mark.parametrize("which", LAYERS)
def test_left_over_positions_are_right_in_sparse_blocks(
    which: str, direct: int, x86: Target
) -> None:
    layer = LAYERS[which]
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    weight *= formats.get("block").mask(abs(weight), 0.3, (4, 1))
    weight[:4] = 0
    choice = kernels.stored_as(layer, weight, "block", (4, 1), x86)
    work = kernel.Work(blocks=layer.filters // 4, taps=layer.filters, filters=4)
    best = in_lanes(layer, kernel.tiles(layer, work, x86), 4)
    direct = direct if best.plane.flat else 0
    best = dataclasses.replace(best, tile=dataclasses.replace(best.tile, direct=direct))
    choice = dataclasses.replace(choice, kernel=best)
    for lowering in (code_generation.NAME, bounds.NAME):
        actual = kernels.run_sparse(choice, weight, x, x86, lowering)
        kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


@pytest.mark.parametrize("positions", [17, 18, 20, 35])
def test_up_to_half_as_many_positions_as_filters_are_turned(positions: int) -> None:
    avx512 = dataclasses.replace(targets.load("x86-avx512"), cores=1)
    layer = Layer(op="conv2d", weight=(16, 24, 1, 1), input=(1, 1, positions))
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    work = kernel.Work(blocks=2, taps=48, filters=8, indexed=False)
    best = kernel.tiles(layer, work, avx512, rows=(8,))
    assert isinstance(best.tile, Tile)
    assert best.tile.tail == positions % 16
    if avx512.missing():
        return  # this CPU can choose the kernel, but not run it
    actual = kernels.run(layer, implement.dense(layer, best, weight), best, x, avx512)
    np.testing.assert_allclose(actual, kernels.reference(layer, x, weight), rtol=1e-4, atol=1e-4)
