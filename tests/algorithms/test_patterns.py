"""The kernel over kernel patterns is the dense operator, on any layer that has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support import bounds, kernels
from support.formats import pruned
from tvm_sparse import choose, implement, kernel
from tvm_sparse.choose import Choice
from tvm_sparse.cost import Work
from tvm_sparse.formats.protocol import Block, Weight
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target

SAME = (1, 1, 1, 1)
LAYERS = {
    "ragged": Layer(op="conv2d", weight=(10, 7, 3, 3), input=(1, 9, 11), padding=SAME),
    "stride 2, batch 2": Layer(
        op="conv2d", weight=(13, 6, 3, 3), input=(2, 9, 11), padding=(1, 2, 0, 1), stride=(2, 2)
    ),
    "three groups, dilation 2": Layer(
        op="conv2d", weight=(12, 4, 3, 3), input=(1, 10, 10), groups=3, dilation=(2, 2)
    ),
    "5×5, wide": Layer(op="conv2d", weight=(8, 4, 5, 5), input=(1, 6, 70), padding=(2, 2, 2, 2)),
}
CONV = Layer(op="conv2d", weight=(128, 128, 3, 3), input=(1, 28, 28), padding=SAME)


def by_pattern(layer: Layer, weight: Weight, block: Block, target: Target) -> Choice:
    """The choice to multiply pattern by pattern, whether it pays or not."""
    choice = kernels.stored_as(layer, weight, "pattern", block, target)
    rows = choose.row_blocks(layer, weight, Scheme(format="pattern", block=block))
    work = Work(blocks=rows.blocks, taps=len(rows.taps), filters=1)
    return replace(choice, kernel=kernel.by_patterns(layer, work, block[1], target))


def check(
    layer: Layer,
    weight: Weight,
    block: Block,
    target: Target,
    lowering: str = code_generation.NAME,
) -> None:
    x = kernels.inputs(layer)
    choice = by_pattern(layer, weight, block, target)
    actual = kernels.run_sparse(choice, weight, x, target, lowering)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


@pytest.mark.parametrize("block", [(4, 8), (1, 3)])
@pytest.mark.parametrize("which", LAYERS)
def test_kernels_in_patterns_are_the_dense_operator(
    which: str, block: Block, target: Target
) -> None:
    layer = LAYERS[which]
    check(layer, pruned(kernels.weights(layer), "pattern", block, 1.0), block, target)


@pytest.mark.parametrize("which", LAYERS)
def test_no_pattern_leaves_its_buffers(which: str, x86: Target) -> None:
    layer = LAYERS[which]
    weight = pruned(kernels.weights(layer), "pattern", (4, 8), 0.1)
    check(layer, weight, (4, 8), x86, bounds.NAME)


@pytest.mark.parametrize("dead", [slice(2, 9), slice(None)], ids=["filters", "layer"])
def test_filters_without_kernels_give_zeros(dead: slice, x86: Target) -> None:
    layer = LAYERS["ragged"]
    weight = pruned(kernels.weights(layer), "pattern", (4, 8), 1.0)
    weight[dead] = 0
    check(layer, weight, (4, 8), x86)


def test_a_kernel_has_one_index_and_no_weight_has_one(x86: Target) -> None:
    weight = pruned(kernels.weights(CONV), "pattern", (4, 8), 0.2)
    choice = by_pattern(CONV, weight, (4, 8), x86)
    values, channel, ptr, shift = implement.sparse(choice, weight).constants
    number = np.count_nonzero(weight) // 4
    assert (values.shape, channel.shape) == ((number, 4), (number,))
    assert (ptr.shape, shift.shape) == ((128, 9), (8, 4))


@pytest.mark.parametrize(
    ("channels", "density"), [(8, 1.0), (128, 0.2)], ids=["short lists", "channels beyond L1"]
)
def test_single_weights_are_chosen_where_patterns_have_short_lists_or_slices_save_more(
    channels: int, density: float, x86: Target
) -> None:
    layer = replace(CONV, weight=(128, channels, 3, 3))
    weight = pruned(kernels.weights(layer), "pattern", (4, 8), density)
    ways = [way for way in choose.candidates(layer, weight, x86) if way.used.format == "pattern"]
    assert [way.kernel.by_pattern for way in ways] == [False]


def test_longer_lists_of_kernels_cost_less_a_weight(x86: Target) -> None:
    def cycles(channels: int) -> float:
        layer = replace(CONV, weight=(128, channels, 3, 3))
        work = Work(blocks=128, taps=128 * channels, filters=1)
        return kernel.by_patterns(layer, work, 8, x86).seconds / work.taps

    assert cycles(64) < 0.5 * cycles(4)
