"""Every format's kernels on an emulated board: the same numbers as the dense operator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tvm

from support import kernels
from support.formats import blocks, pruned
from support.small_layers import LAYERS, suited
from tvm_sparse import implement, kernel, link, targets
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.rpc.address import Address
from tvm_sparse.rpc.board import Board, board

pytestmark = [pytest.mark.arm, pytest.mark.rpc, pytest.mark.xdist_group("boards")]

RPI4 = targets.load("rpi4")


@pytest.fixture(scope="module")
def held(tracker: Address, rpi4: str):  # type: ignore[no-untyped-def]
    with board(rpi4, tracker, seconds=600) as found:
        yield found


def run(
    held: Board, folder: Path, layer: Layer, bound: object, best: kernel.Kernel, x: Weight
) -> Weight:
    mod = kernels.scheduled(bound.func, RPI4)  # type: ignore[attr-defined]
    built = tvm.compile(mod, RPI4.to_tvm(), tir_pipeline=code_generation.NAME)
    link.library(built, folder / "kernel.so", RPI4.triple)
    function = held.library(folder / "kernel.so")["main"]
    return kernels.called(function, layer, bound, best, x, held.device)


@pytest.mark.parametrize(("name", "which"), suited())
def test_a_pruned_layer_equals_the_dense_operator(
    name: str, which: str, held: Board, tmp_path: Path
) -> None:
    layer = LAYERS[which]
    weight, x = pruned(kernels.weights(layer), name, blocks(name)[0]), kernels.inputs(layer)
    choice = kernels.stored_as(layer, weight, name, blocks(name)[0], RPI4)
    bound = implement.sparse(choice, weight)
    actual = run(held, tmp_path, layer, bound, choice.kernel, x)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


@pytest.mark.parametrize("which", LAYERS)
def test_a_dense_layer_equals_the_dense_operator(which: str, held: Board, tmp_path: Path) -> None:
    layer = LAYERS[which]
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    best = kernel.dense(layer, RPI4)
    actual = run(held, tmp_path, layer, implement.dense(layer, best, weight), best, x)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


def test_the_kernels_use_the_vectors_of_neon() -> None:
    layer = LAYERS["1×1"]
    weight = pruned(np.abs(kernels.weights(layer)) + 1, "one_by_n", (4,))
    choice = kernels.stored_as(layer, weight, "one_by_n", (4,), RPI4)
    text = kernels.assembly(implement.sparse(choice, weight).func, RPI4)
    assert "fmla\tv" in text.replace("  ", "\t")
