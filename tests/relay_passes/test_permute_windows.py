# mypy: ignore-errors
"""Gathers within a window become permutations, where a schedule says so."""

from __future__ import annotations

import pytest
import tvm
from tvm.script import tirx as T

from support import formats, kernels
from tvm_sparse import window_kernel, windows
from tvm_sparse.algorithms import windows as window_algorithm
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes.permute_windows import PermuteWindows
from tvm_sparse.schedules.windows import PERMUTE
from tvm_sparse.targets import Target

AVX2 = "llvm.x86.avx2.permps"
# fmt: off


def gather(marks):
    """Eight inputs of one window, at lane numbers from a buffer."""
    @T.prim_func(s_tir=True)
    def main(X: T.Buffer((64,), "float32"), I: T.Buffer((8,), "int32"), Y: T.Buffer((8,), "float32")):  # noqa: E501, E741
        for g in T.serial(8):
            Y[T.Ramp(0, 1, 8)] = X[T.Broadcast(g * 8, 8) + T.bitwise_and(I[T.Ramp(0, 1, 8)], T.Broadcast(7, 8))]  # noqa: E501

    return tvm.IRModule({"main": main.with_attrs(marks) if marks else main})

# fmt: on


def body(mod: tvm.IRModule) -> str:
    return mod["main"].script(show_meta=False)


def test_a_marked_gather_loads_its_window_and_permutes_it() -> None:
    text = body(PermuteWindows()(gather({PERMUTE: AVX2})))
    assert "X[g * 8:g * 8 + 8]" in text or "X[T.Ramp(g * 8, 1, 8)]" in text
    assert "call_llvm_pure_intrin" in text
    assert "T.Broadcast(7, 8)" not in text  # the instruction looks at no other bits


def test_functions_that_are_not_marked_stay_as_they_are() -> None:
    before = gather({})
    tvm.ir.assert_structural_equal(PermuteWindows()(before), before)


def test_loads_without_lane_numbers_stay_as_they_are() -> None:
    @T.prim_func(s_tir=True)
    def main(X: T.Buffer((64,), "float32"), Y: T.Buffer((8,), "float32")):
        for g in T.serial(8):
            Y[T.Ramp(0, 1, 8)] = X[T.Ramp(g * 8, 1, 8)] + X[g]

    before = tvm.IRModule({"main": main.with_attr(PERMUTE, AVX2)})
    tvm.ir.assert_structural_equal(PermuteWindows()(before), before)


@pytest.mark.parametrize("shape", [(128, 128), (70, 131), (32, 16)])
def test_compiled_kernels_permute_and_never_gather(shape: tuple[int, int], target: Target) -> None:
    layer = Layer(op="linear", weight=shape, input=(2, 5))
    weight = formats.pruned(kernels.weights(layer), "nm", (1, 4), 1.0)
    best = window_kernel.best(layer, windows.slots(weight != 0, target.lanes), target)
    func = window_algorithm.sparse(layer, best.tile)
    text = kernels.assembly(func, target)
    products = best.tile.rows * best.tile.filters // target.lanes * best.tile.slots
    assert text.count("vpermps") + text.count("vpermd") >= products
    assert "vgather" not in text
    assert "vpand" not in text
