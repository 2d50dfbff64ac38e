# mypy: ignore-errors
"""Weights are asked for before they are multiplied, where a schedule says so."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm.script import tirx as T

from support import kernels
from tvm_sparse import formats, implement
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes.prefetch_weights import PrefetchWeights
from tvm_sparse.targets import Target

# fmt: off


def product(filters, stream, dtype="float32"):
    """A sparse product of row blocks; `stream` are the annotations of its loop over taps."""
    @T.prim_func(s_tir=True)
    def main(P: T.Buffer((9,), "int64"), W: T.Buffer((500, filters), dtype), X: T.Buffer((96,), dtype), Y: T.Buffer((8, filters), dtype)):  # noqa: E501
        for b in T.serial(T.int64(8)):
            for k in T.serial(T.int64(96), annotations=stream):
                for i in T.unroll(T.int64(filters)):
                    with T.sblock("product"):
                        vb, vi, vk = T.axis.remap("SSR", [b, i, k])
                        Y[vb, vi] = Y[vb, vi] + W[P[vb] + vk, vi] * X[vk]

    return tvm.IRModule({"main": main})


MARKED = {"tvm_sparse.stream": 2048}


def prefetches(mod: tvm.IRModule) -> list[str]:
    lines = (line.strip() for line in mod["main"].script(show_meta=False).splitlines())
    return [line for line in lines if line.startswith("T.prefetch")]


def asks_for(tap: int, element: int) -> str:
    index = f"P[b] + k + T.int64({tap}), T.int64({element})"
    return f"T.prefetch(T.address_of(W[{index}]), 0, 3, 1)"


def test_a_marked_loop_asks_for_weights_that_lie_as_far_ahead_as_it_says() -> None:
    for ahead in (2048, 16384):
        after = PrefetchWeights()(product(8, {"tvm_sparse.stream": ahead}))
        assert prefetches(after) == [asks_for(ahead // (8 * 4), 0)]


def test_every_cache_line_of_a_tap_is_asked_for_once() -> None:
    after = PrefetchWeights()(product(40, MARKED))
    taps = 2048 // (40 * 4)
    assert prefetches(after) == [asks_for(taps, element) for element in (0, 16, 32)]


def test_a_tap_beyond_the_distance_asks_for_its_successor() -> None:
    after = PrefetchWeights()(product(520, MARKED))
    assert prefetches(after) == [asks_for(1, element) for element in range(0, 520, 16)]


def test_wider_numbers_are_fewer_taps_ahead() -> None:
    after = PrefetchWeights()(product(8, MARKED, "float64"))
    assert prefetches(after) == [asks_for(2048 // (8 * 8), 0)]


def test_the_mark_is_gone_afterwards_and_other_annotations_stay() -> None:
    after = PrefetchWeights()(product(8, {**MARKED, "pragma_other": 1}))
    text = after["main"].script(show_meta=False)
    assert "tvm_sparse.stream" not in text
    assert "pragma_other" in text


def test_loops_that_are_not_marked_stay_as_they_are() -> None:
    before = product(8, {})
    tvm.ir.assert_structural_equal(PrefetchWeights()(before), before)


def test_a_marked_loop_without_products_only_loses_its_mark() -> None:
    @T.prim_func(s_tir=True)
    def main(X: T.Buffer((96,), "float32"), Y: T.Buffer((96,), "float32")):
        for k in T.serial(96, annotations={"tvm_sparse.stream": 1}):
            with T.sblock("copy"):
                vk = T.axis.spatial(96, k)
                Y[vk] = X[vk]

    before = tvm.IRModule({"main": main})

    @T.prim_func(s_tir=True)
    def main(X: T.Buffer((96,), "float32"), Y: T.Buffer((96,), "float32")):
        for k in T.serial(96):
            with T.sblock("copy"):
                vk = T.axis.spatial(96, k)
                Y[vk] = X[vk]

    after = PrefetchWeights()(before)
    tvm.ir.assert_structural_equal(after, tvm.IRModule({"main": main}))


def test_results_are_those_of_a_kernel_without_prefetches(x86: Target) -> None:
    layer = Layer(op="conv2d", weight=(48, 40, 3, 3), input=(1, 9, 11), padding=(1, 1, 1, 1))
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    weight *= formats.get("block").mask(abs(weight), 0.3, (8, 1))
    choice = kernels.stored_as(layer, weight, "block", (8, 1), x86)
    mod = kernels.scheduled(implement.sparse(choice, weight).func, x86)
    assert prefetches(PrefetchWeights()(mod))
    plain = kernels.run_sparse(choice, weight, x, x86, "s_tir")
    np.testing.assert_allclose(
        kernels.run_sparse(choice, weight, x, x86), plain, rtol=1e-5, atol=1e-5
    )
    kernels.assert_close(plain, kernels.reference(layer, x, weight), 1e-5)


@pytest.mark.parametrize("blocks", [1, 3])
def test_asking_beyond_the_last_weight_does_no_harm(blocks: int, x86: Target) -> None:
    layer = Layer(op="linear", weight=(8 * blocks, 3), input=(16,))
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    choice = kernels.stored_as(layer, weight, "block", (8, 1), x86)
    actual = kernels.run_sparse(choice, weight, x, x86)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)
