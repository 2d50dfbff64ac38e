# mypy: ignore-errors
"""Before / expected of the last register tile along the positions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tvm
from tvm.script import tirx as T

from support import bounds, kernels
from tvm_sparse import implement, kernel
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes.narrow_last_tile import NarrowLastTile
from tvm_sparse.schedules import loops
from tvm_sparse.targets import Target

# fmt: off


def tiled(tiles, tile_marks, vector_marks):
    """A copy of vectors of 16, five by five, with annotations on both loops."""
    @T.prim_func(s_tir=True)
    def main(X: T.Buffer((tiles * 80,), "float32"), Y: T.Buffer((tiles * 80,), "float32")):
        for p in T.serial(tiles, annotations=tile_marks):
            for v in T.unroll(5, annotations=vector_marks):
                for lane in T.vectorized(16):
                    with T.sblock("copy"):
                        vi = T.axis.spatial(tiles * 80, p * 80 + v * 16 + lane)
                        Y[vi] = X[vi]

    return tvm.IRModule({"main": main})


VECTORS = {loops.VECTORS: 1}


def test_thirteen_vectors_by_five_are_five_and_five_and_three() -> None:
    @T.prim_func(s_tir=True)
    def expected(X: T.Buffer((240,), "float32"), Y: T.Buffer((240,), "float32")):
        for p in T.serial(2):
            for v in T.unroll(5, annotations={"tvm_sparse.vectors": 1}):
                for lane in T.vectorized(16):
                    with T.sblock("copy"):
                        vi = T.axis.spatial(240, p * 80 + v * 16 + lane)
                        Y[vi] = X[vi]
        for v in T.unroll(3):
            for lane in T.vectorized(16):
                with T.sblock("copy"):
                    vi = T.axis.spatial(240, 2 * 80 + v * 16 + lane)
                    Y[vi] = X[vi]

    after = NarrowLastTile()(tiled(3, {loops.LAST: 3}, VECTORS))
    tvm.ir.assert_structural_equal(simple(after["main"]), simple(expected))


def simple(func):
    mod = tvm.tirx.transform.StmtSimplify()(tvm.IRModule({"main": func}))
    return mod["main"].without_attr("global_symbol").body


def test_a_single_tile_is_only_narrowed() -> None:
    text = NarrowLastTile()(tiled(1, {loops.LAST: 2}, VECTORS)).script(show_meta=False)
    assert "T.unroll(2)" in text
    assert "T.unroll(5" not in text
    assert " p " not in text


def test_a_full_last_tile_keeps_its_vectors() -> None:
    text = NarrowLastTile()(tiled(3, {loops.LAST: 5}, VECTORS)).script(show_meta=False)
    assert text.count("T.unroll(5") == 2
    assert "range(2)" in text or "T.serial(2)" in text


def test_loops_that_are_not_marked_stay_as_they_are() -> None:
    before = tiled(3, {}, VECTORS)
    tvm.ir.assert_structural_equal(NarrowLastTile()(before), before)


def test_only_the_loops_over_vectors_become_shorter() -> None:
    text = NarrowLastTile()(tiled(3, {loops.LAST: 3}, {})).script(show_meta=False)
    assert text.count("T.unroll(5") == 2
    assert "T.unroll(3" not in text


@pytest.mark.parametrize("vectors", [1, 2, 5, 13])
def test_thirteen_vectors_give_the_same_numbers_however_they_are_tiled(
    vectors: int, x86: Target
) -> None:
    layer = Layer(op="conv2d", weight=(6, 5, 1, 1), input=(1, 1, 13 * x86.lanes - 3))
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    best = kernel.dense(layer, x86)
    plane = dataclasses.replace(best.plane, run=13 * x86.lanes)
    tile = dataclasses.replace(
        best.tile, filters=1, vectors=vectors, last=12 % vectors + 1, chunk=6, run=plane.run
    )
    best = dataclasses.replace(best, tile=tile, plane=plane)
    bound = implement.dense(layer, best, weight)
    expected = kernels.reference(layer, x, weight)
    for direct in (0, 1):
        bound = implement.dense(
            layer, dataclasses.replace(best, tile=dataclasses.replace(tile, direct=direct)), weight
        )
        for lowering in ("tvm_sparse", bounds.NAME):
            actual = kernels.run(layer, bound, best, x, x86, lowering)
            np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
