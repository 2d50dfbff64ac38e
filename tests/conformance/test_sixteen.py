"""Kernels of every format with weights in sixteen bits: what the rounded weights give."""

from __future__ import annotations

import numpy as np
import pytest

from support import formats, kernels
from tvm_sparse import choose, implement, sixteen, widen
from tvm_sparse.errors import ModelError
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target

CONV = Layer(op="conv2d", weight=(16, 12, 3, 3), input=(2, 9, 7), padding=(1, 1, 1, 1))
LINEAR = Layer(op="linear", weight=(32, 70), input=(3,))
FIRST = {name: block for name, block in reversed(formats.cases())}


def check(layer: Layer, name: str, block: tuple[int, ...], dtype: str, target: Target) -> None:
    weight = sixteen.rounded(formats.pruned(kernels.weights(layer), name, block), dtype)
    best = min(
        (one for one in choose.candidates(layer, weight, target) if one.is_sparse),
        key=lambda one: (one.used.format != name, one.kernel.seconds),
    )
    floats, x = implement.sparse(best, weight), kernels.inputs(layer)
    bound = widen.stored(floats, dtype)
    saved = sum(array.nbytes for array in floats.constants if array.dtype == np.float32) // 2
    assert floats.nbytes - bound.nbytes == saved > 0
    actual = kernels.run(layer, bound, best.kernel, x, target)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


@pytest.mark.parametrize(("name", "block"), FIRST.items(), ids=str)
def test_every_format_stores_bfloat16(name: str, block: tuple[int, ...], x86: Target) -> None:
    check(CONV, name, block, "bfloat16", x86)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("name", "block"), [("nm", (2, 4)), ("one_by_n", (16,))], ids=str)
def test_linear_layers_store_either(
    name: str, block: tuple[int, ...], dtype: str, target: Target
) -> None:
    check(LINEAR, name, block, dtype, target)


def test_dense_weights_and_all_zero_ones_are_stored_too(x86: Target) -> None:
    for weight in (kernels.weights(LINEAR), np.zeros(LINEAR.weight, np.float32)):
        weight = sixteen.rounded(weight, "bfloat16")
        best, x = choose.stay_dense(LINEAR, weight, x86).kernel, kernels.inputs(LINEAR)
        bound = widen.stored(implement.dense(LINEAR, best, weight), "bfloat16")
        actual = kernels.run(LINEAR, bound, best, x, x86)
        kernels.assert_close(actual, kernels.reference(LINEAR, x, weight), 1e-5)


def test_numbers_become_the_nearest_that_sixteen_bits_can_say() -> None:
    given = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    for dtype, share in (("bfloat16", 2**-8), ("float16", 2**-11)):
        found = sixteen.rounded(given, dtype)
        assert (np.abs(found - given) <= share * np.abs(given)).all()
        np.testing.assert_array_equal(sixteen.rounded(found, dtype), found)
    large = np.array([1e6], np.float32)
    np.testing.assert_allclose(sixteen.rounded(large, "bfloat16"), large, rtol=2**-8)
    with pytest.raises(ModelError, match="take bfloat16"):
        sixteen.rounded(large, "float16")
