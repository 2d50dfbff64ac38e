from __future__ import annotations

from dataclasses import replace

import pytest

from support import bounds, kernels
from tvm_sparse import choose, formats, kernel
from tvm_sparse.choose import Choice
from tvm_sparse.cost import Work
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.targets import Target
from tvm_sparse.tilings import tilings

LAYERS = {
    "one image": Layer(op="conv2d", weight=(24, 20, 1, 1), input=(1, 8, 8)),
    "two images, groups": Layer(op="conv2d", weight=(8, 6, 1, 1), input=(2, 8, 8), groups=2),
    "several tiles": Layer(op="conv2d", weight=(12, 7, 1, 1), input=(1, 28, 28)),
    "linear": Layer(op="linear", weight=(40, 33), input=(32,)),
    "linear, nested rows": Layer(op="linear", weight=(16, 48), input=(3, 16)),
}
SCHEMES = {"block": (4, 1), "unstructured": (), "filter": ()}


def in_place(choice: Choice, weight: Weight, target: Target) -> list[Choice]:
    """The choice with its input read in place, by the shortest and by the longest tiles."""
    layer = choice.layer
    rows = choose.row_blocks(layer, weight, choice.used)
    work = Work(
        blocks=rows.blocks,
        taps=len(rows.taps),
        filters=rows.filters,
        reordered=not rows.in_order(layer.filters),
    )
    planes = [plane for plane in tilings(layer, target) if plane.in_place]
    assert planes
    return [
        replace(
            choice,
            kernel=Kernel(tile=kernel.tile_of(plane, work, 1, 1, target), plane=plane, seconds=0.0),
        )
        for plane in dict.fromkeys([planes[0], planes[-1]])
    ]


@pytest.mark.parametrize("lowering", [code_generation.NAME, bounds.NAME])
@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("which", LAYERS)
def test_reading_in_place_equals_the_dense_operator(
    which: str, name: str, lowering: str, x86: Target
) -> None:
    layer = LAYERS[which]
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    weight *= formats.get(name).mask(abs(weight), 0.4, SCHEMES[name])
    choice = kernels.stored_as(layer, weight, name, SCHEMES[name], x86)
    for forced in in_place(choice, weight, x86):
        actual = kernels.run_sparse(forced, weight, x, x86, lowering)
        kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


@pytest.mark.parametrize("which", LAYERS)
def test_dense_kernels_read_in_place_too(which: str, target: Target) -> None:
    layer = LAYERS[which]
    weight, x = kernels.weights(layer), kernels.inputs(layer)
    actual = kernels.run_dense(layer, weight, x, target)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


def test_only_whole_vectors_are_read_in_place(x86: Target) -> None:
    whole = Layer(op="conv2d", weight=(8, 8, 1, 1), input=(1, 28, 28))
    ragged = Layer(op="conv2d", weight=(8, 8, 1, 1), input=(1, 14, 14))
    window = Layer(op="conv2d", weight=(8, 8, 3, 3), input=(1, 28, 28), padding=(1, 1, 1, 1))
    found = [any(p.in_place for p in tilings(la, x86)) for la in (whole, ragged, window)]
    assert found == [True, False, False]
    assert all(784 % p.run == 0 for p in tilings(whole, x86) if p.in_place)


def test_channels_that_share_sets_of_the_cache_take_longer_runs(x86: Target) -> None:
    lines = x86.line // 4
    apart = Layer(op="linear", weight=(8, 8), input=(32 * lines,))
    runs = [p.run for p in tilings(apart, x86) if p.in_place]
    assert min(runs) == 32 * lines


def test_offsets_in_place_are_channels() -> None:
    layer = Layer(op="linear", weight=(8, 5), input=(32,))
    plane = Plane(layer=layer, step=16, run=32, in_place=True)
    assert plane.offsets().tolist() == [0, 1, 2, 3, 4]
