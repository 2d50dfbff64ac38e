# mypy: ignore-errors
"""Before / expected of loops whose iterations are unequal work, and what such kernels compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tvm
from tvm.script import tirx as T

from support import bounds, kernels
from tvm_sparse import choose, implement, kernel
from tvm_sparse.compiled import set_threads
from tvm_sparse.cost import Work
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.relay_passes.share_chunks import ShareChunks
from tvm_sparse.schedules import loops
from tvm_sparse.scheme import Scheme

# fmt: off


def test_a_marked_loop_is_divided_at_its_cuts() -> None:
    @T.prim_func(s_tir=True)
    def before(X: T.Buffer((12,), "float32"), Y: T.Buffer((12,), "float32")):
        for c in T.parallel(12, annotations={loops.CUTS: [0, 7, 10, 12]}):
            Y[c] = X[c]

    @T.prim_func(s_tir=True)
    def expected(X: T.Buffer((12,), "float32"), Y: T.Buffer((12,), "float32")):
        for thread in T.parallel(3):
            for c in range(
                T.Select(thread <= 0, 0, T.Select(thread <= 1, 7, 10)),
                T.Select(thread <= 0, 7, T.Select(thread <= 1, 10, 12)),
            ):
                Y[c] = X[c]

    after = ShareChunks()(tvm.IRModule({"main": before}))["main"]
    tvm.ir.assert_structural_equal(simple(after), simple(expected))


def simple(func):
    mod = tvm.tirx.transform.StmtSimplify()(tvm.IRModule({"main": func}))
    return mod["main"].without_attr("global_symbol")


def test_loops_without_cuts_stay_as_they_are() -> None:
    @T.prim_func(s_tir=True)
    def before(X: T.Buffer((12,), "float32"), Y: T.Buffer((12,), "float32")):
        for c in T.parallel(12):
            Y[c] = X[c]

    mod = tvm.IRModule({"main": before})
    tvm.ir.assert_structural_equal(ShareChunks()(mod), mod)
# fmt: on


LAYERS = {
    "registers to output": (
        Layer(op="conv2d", weight=(160, 40, 1, 1), input=(1, 4, 4)), "block", (4, 1)
    ),
    "single weights, batch 3": (
        Layer(op="conv2d", weight=(96, 30, 1, 1), input=(3, 5, 5)), "unstructured", ()
    ),
    "rows of an image": (
        Layer(op="conv2d", weight=(90, 12, 3, 3), input=(1, 5, 5), padding=(1, 1, 1, 1)),
        "block_punched",
        (8, 1),
    ),
    "kernel patterns": (
        Layer(op="conv2d", weight=(64, 12, 3, 3), input=(1, 7, 7), padding=(1, 1, 1, 1)),
        "pattern",
        (4, 8),
    ),
    "filters in lanes": (Layer(op="linear", weight=(190, 64), input=(1,)), "block", (16, 1)),
}  # fmt: skip


def rising(layer, name, block):
    """A weight whose filters keep more and more: nothing in the first, nearly all in the last."""
    weight, rng = kernels.weights(layer), np.random.default_rng(0)
    each = block[0] if name.startswith("block") else 1
    density = np.linspace(-0.05, 0.95, layer.filters)[np.arange(layer.filters) // each * each]
    draw = rng.random((-(-layer.filters // each), *layer.weight[1:]))
    draw = np.repeat(draw, each, axis=0)[: layer.filters]
    if name == "pattern":
        draw[:] = draw[:, :, :1, :1]
        weight[:, :, [0, 0, 2, 2, 1], [0, 2, 0, 2, 1]] = 0
    return weight * (draw < density.reshape(-1, *[1] * (weight.ndim - 1)))


def choice_of(layer, name, block, weight, target):
    choice = kernels.stored_as(layer, weight, name, block, target)
    if name == "pattern":
        rows = choose.row_blocks(layer, weight, Scheme(format=name, block=block))
        work = Work(blocks=rows.blocks, taps=len(rows.taps), filters=1)
        choice = replace(choice, kernel=kernel.by_patterns(layer, work, block[1], target))
    return choice


@pytest.mark.parametrize("lowering", [code_generation.NAME, bounds.NAME, "default"])
@pytest.mark.parametrize("which", LAYERS)
def test_unequal_rows_on_two_threads_are_the_dense_operator(which, lowering, target) -> None:
    layer, name, block = LAYERS[which]
    two = replace(target, cores=2)
    weight, x = rising(layer, name, block), kernels.inputs(layer)
    choice = choice_of(layer, name, block, weight, two)
    assert loops.CUTS in kernels.scheduled(implement.sparse(choice, weight).func, two).script()
    set_threads(2)
    try:
        actual = kernels.run_sparse(choice, weight, x, two, lowering)
    finally:
        set_threads(1)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)
