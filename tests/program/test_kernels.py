"""Every format's kernels on an emulated 32-bit board: the same numbers as the dense operator."""

from __future__ import annotations

from typing import Any

import pytest

from support import kernels, programs
from support.formats import blocks, pruned
from support.small_layers import LAYERS, suited
from tvm_sparse import implement, kernel, targets
from tvm_sparse.formats.protocol import Weight

pytestmark = pytest.mark.arm

ARMV7 = targets.load("armv7")
CASES = [*suited(), *(("", which) for which in LAYERS)]


def weight(name: str, which: str) -> Weight:
    found = kernels.weights(LAYERS[which])
    return pruned(found, name, blocks(name)[0]) if name else found


def implemented(name: str, which: str) -> tuple[Any, kernel.Kernel]:
    layer = LAYERS[which]
    if not name:
        best = kernel.dense(layer, ARMV7)
        return implement.dense(layer, best, weight(name, which)), best
    choice = kernels.stored_as(layer, weight(name, which), name, blocks(name)[0], ARMV7)
    return implement.sparse(choice, weight(name, which)), choice.kernel


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Weight]:
    """What all kernels compute."""
    made, kept = [], []
    for name, which in CASES:
        bound, best = implemented(name, which)
        x = kernels.inputs(LAYERS[which])
        made.append((bound.func, kernels.arguments(LAYERS[which], bound, best, x)))
        kept.append((LAYERS[which], best))
    found = programs.of_kernels(made, ARMV7, tmp_path_factory.mktemp("kernels"))
    raw = zip(CASES, kept, found, strict=True)
    return {case: kernels.result(layer, best, y) for case, (layer, best), y in raw}


@pytest.mark.parametrize(("name", "which"), CASES)
def test_a_layer_equals_the_dense_operator(
    name: str, which: str, results: dict[tuple[str, str], Weight]
) -> None:
    layer = LAYERS[which]
    expected = kernels.reference(layer, kernels.inputs(layer), weight(name, which))
    kernels.assert_close(results[name, which], expected, 1e-5)
