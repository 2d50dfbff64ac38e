"""A pattern with a few strays is computed as the sum of a core and a rest, without loss."""

from __future__ import annotations

import numpy as np
import pytest

from support import bounds, kernels
from support.formats import pruned
from support.relax import apply
from tvm_sparse import choose, formats, kernel
from tvm_sparse.bench.layers import relax_layer
from tvm_sparse.choose import Choice
from tvm_sparse.cost import Work
from tvm_sparse.formats.protocol import Block, Weight
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import code_generation, record
from tvm_sparse.relay_passes.pack_sparse import PackSparse
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target

CONV = Layer(op="conv2d", weight=(128, 128, 3, 3), input=(1, 28, 28), padding=(1, 1, 1, 1))
LAYERS = {
    "ragged 3×3": Layer(op="conv2d", weight=(20, 12, 3, 3), input=(1, 9, 11), padding=(1, 1, 1, 1)),
    "stride 2, batch 2": Layer(
        op="conv2d", weight=(18, 8, 3, 3), input=(2, 9, 11), padding=(1, 2, 0, 1), stride=(2, 2)
    ),
    "groups, dilation 2": Layer(
        op="conv2d", weight=(24, 8, 3, 3), input=(1, 10, 10), dilation=(2, 2), groups=2
    ),
    "linear": Layer(op="linear", weight=(40, 36), input=(50,)),
}
SCHEMES: list[tuple[str, Block]] = [
    ("block", (8, 1)),
    ("one_by_n", (8,)),
    ("filter", ()),
    ("regrouped", ()),
    ("nm", (1, 4)),
    ("pattern", (4, 8)),
]


def strayed(layer: Layer, name: str, block: Block, density: float, share: float) -> Weight:
    """A pruned weight some of whose zeros, as many as a share of its weights, are not zero."""
    weight = kernels.weights(layer)
    keep = formats.get(name).mask(abs(weight), density, block)
    strays = np.random.default_rng(3).random(weight.shape) < share * keep.mean()
    return np.asarray(np.where(keep | strays, weight, 0))


def in_two_parts(layer: Layer, weight: Weight, name: str, block: Block, target: Target) -> Choice:
    """The choice to store a weight in two parts, whether it pays or not."""
    used = Scheme(format=name, block=block)
    parts = choose.split_up(layer, weight, used)
    rows = choose.row_blocks(layer, parts.core, used)
    reordered = not rows.in_order(layer.filters)
    core = Work(blocks=rows.blocks, taps=len(rows.taps), filters=rows.filters, reordered=reordered)
    taps = int(np.count_nonzero(parts.rest))
    rest = Work(blocks=rows.blocks * rows.filters, taps=taps, filters=1, reordered=reordered)
    best = kernel.two_parts(layer, core, rest, target)
    return Choice(
        layer=layer,
        found=used,
        used=used,
        kernel=best,
        dense=kernel.dense(layer, target),
        reason="",
        rest=Scheme(format="unstructured"),
    )


def check(layer: Layer, weight: Weight, choice: Choice, target: Target, lowering: str) -> None:
    assert choice.kernel.rest is not None
    x = kernels.inputs(layer)
    actual = kernels.run_sparse(choice, weight, x, target, lowering)
    kernels.assert_close(actual, kernels.reference(layer, x, weight), 1e-5)


@pytest.mark.parametrize("which", LAYERS)
@pytest.mark.parametrize(("name", "block"), SCHEMES)
def test_core_and_rest_together_are_the_dense_operator(
    name: str, block: Block, which: str, x86: Target
) -> None:
    layer = LAYERS[which]
    if formats.get(name).objection(layer.weight, block) is not None:
        assert (name, layer.op) == ("pattern", "linear")
        return
    weight = strayed(layer, name, block, 0.25, 0.05)
    choice = in_two_parts(layer, weight, name, block, x86)
    check(layer, weight, choice, x86, code_generation.NAME)


@pytest.mark.parametrize("which", LAYERS)
@pytest.mark.parametrize(("name", "block"), [("block", (8, 1)), ("filter", ())])
def test_neither_part_leaves_its_buffers(name: str, block: Block, which: str, x86: Target) -> None:
    layer = LAYERS[which]
    weight = strayed(layer, name, block, 0.25, 0.05)
    check(layer, weight, in_two_parts(layer, weight, name, block, x86), x86, bounds.NAME)


@pytest.mark.parametrize("which", ["no core", "no rest", "nothing"])
def test_an_empty_part_adds_nothing(which: str, x86: Target) -> None:
    layer = LAYERS["ragged 3×3"]
    weight = pruned(kernels.weights(layer), "block", (8, 1), 0.25)
    if which != "no rest":
        weight[np.arange(20) % 8 > 0] = 0
    if which == "nothing":
        weight[:] = 0
    choice = in_two_parts(layer, weight, "block", (8, 1), x86)
    parts = choose.split_up(layer, weight, choice.used)
    assert parts.core.any() == (which == "no rest")
    assert parts.rest.any() == (which == "no core")
    check(layer, weight, choice, x86, code_generation.NAME)


@pytest.mark.parametrize("share", [0.01, 0.04])
def test_strays_do_not_cost_a_layer_its_blocks(share: float, x86: Target) -> None:
    weight = strayed(CONV, "block", (8, 1), 0.2, share)
    choice = choose.choose(CONV, weight, x86)
    (alone,) = [
        other.kernel.seconds
        for other in choose.candidates(CONV, weight, x86)
        if other.used.format == "unstructured"
    ]
    assert choice.found.format == "unstructured"
    assert choice.used.block == (8, 1)
    assert choice.kernel.seconds < 0.7 * alone


def test_a_layer_in_two_parts_is_reported_as_both(x86: Target) -> None:
    weight = strayed(CONV, "block", (8, 1), 0.2, 0.04)
    mod = apply(PackSparse(x86), relax_layer(CONV, weight))
    (row,) = record.read(mod).rows
    core, rest = (Scheme.parse(text) for text in row.stored.split(" + "))
    assert (core.format, core.block) == ("block", (8, 1))
    assert rest.format == "unstructured"
    assert core.density + rest.density == pytest.approx(row.density, abs=2e-4)
    assert "apart from the pattern" in row.reason
    number = np.count_nonzero(weight)
    assert 4 * number < row.nbytes < 6 * number


def test_scattered_weights_are_not_split(x86: Target) -> None:
    weight = pruned(kernels.weights(CONV), "unstructured", (), 0.1)
    assert choose.choose(CONV, weight, x86).rest is None
