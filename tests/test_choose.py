from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from support import kernels
from tvm_sparse import choose, formats
from tvm_sparse.formats.protocol import Block
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target
from tvm_sparse.tile import WindowTile

CONV = Layer(op="conv2d", weight=(128, 128, 3, 3), input=(1, 28, 28), padding=(1, 1, 1, 1))
LINEAR = Layer(op="linear", weight=(768, 768), input=(128,))


def chosen(layer: Layer, name: str, block: Block, density: float, x86: Target) -> choose.Choice:
    weight = kernels.weights(layer)
    weight *= formats.get(name).mask(abs(weight), density, block)
    return choose.choose(layer, weight, x86)


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("block_punched", (8, 4)),
        ("one_by_n", (4,)),
        ("block", (16, 4)),
        ("filter", ()),
        ("channel", ()),
        ("periodic", (4, 4)),
        ("pattern", (4, 8)),
        ("nm", (1, 4)),
        ("regrouped", ()),
        ("unstructured", ()),
    ],
)
def test_the_pattern_is_found_from_the_zeros_alone(name: str, block: Block, x86: Target) -> None:
    choice = chosen(CONV, name, block, 0.15, x86)
    assert (choice.found.format, choice.found.block) == (name, block)
    assert choice.is_sparse


def test_ninety_percent_zeros_pay_in_any_format(x86: Target) -> None:
    for layer in (CONV, LINEAR):
        for name, block in [("block", (4, 1)), ("block", (8, 1)), ("unstructured", ())]:
            choice = chosen(layer, name, block, 0.1, x86)
            assert choice.is_sparse
            assert choice.kernel.seconds < 0.9 * choice.dense.seconds


def test_few_zeros_stay_dense(x86: Target) -> None:
    choice = chosen(CONV, "unstructured", (), 0.8, x86)
    assert not choice.is_sparse
    assert choice.kernel == choice.dense
    assert "as fast as dense" in choice.reason


def test_depthwise_layers_stay_dense(x86: Target) -> None:
    layer = Layer(
        op="conv2d", weight=(32, 1, 3, 3), input=(1, 28, 28), padding=(1, 1, 1, 1), groups=32
    )
    assert not chosen(layer, "unstructured", (), 0.2, x86).is_sparse


def test_scattered_zeros_may_be_stored_to_share_loads(x86: Target) -> None:
    """A tall thin product gains from loading its inputs once for two filters."""
    weight = kernels.weights(LINEAR)
    weight *= formats.get("unstructured").mask(abs(weight), 0.05)
    choice = choose.choose(LINEAR, weight, x86)
    assert choice.found.format == "unstructured"
    assert choice.used.format in {"unstructured", "block_punched"}


def test_an_all_zero_layer_is_sparse(x86: Target) -> None:
    choice = choose.choose(CONV, np.zeros(CONV.weight, np.float32), x86)
    assert choice.is_sparse


@pytest.mark.parametrize("name", formats.names())
def test_every_format_is_looked_for(name: str) -> None:
    assert name in choose.NAMED or name == "dense"


def test_of_equal_descriptions_the_plainer_one_names_the_pattern() -> None:
    """Every second channel is gone: also a period of two, one of two, and one set of filters."""
    weight = kernels.weights(CONV)
    weight[:, ::2] = 0
    for name, block in (("periodic", (1, 2)), ("nm", (1, 2)), ("regrouped", ())):
        assert formats.get(name).fits(weight, block)
    assert choose.find(weight).format == "channel"


@pytest.mark.parametrize(("name", "block"), [("periodic", (4, 4)), ("regrouped", ())])
def test_filters_that_share_taps_run_together_wherever_they_stand(
    name: str, block: Block, x86: Target
) -> None:
    choice = chosen(CONV, name, block, 0.2, x86)
    assert choice.used.format == name
    scattered = chosen(CONV, "unstructured", (), 0.2, x86)
    assert choice.kernel.seconds < 0.7 * scattered.kernel.seconds


def test_searching_a_large_layer_takes_less_than_a_second() -> None:
    rng = np.random.default_rng(0)
    for shape in ((2048, 512, 1, 1), (512, 512, 3, 3)):
        weight = rng.random(shape, dtype=np.float32)
        weight[weight > 0.2] = 0
        start = time.process_time()
        assert choose.find(weight).format == "unstructured"
        assert time.process_time() - start < 1


@pytest.mark.parametrize("block", [(2, 4), (1, 4), (4, 8), (1, 8)])
def test_lanes_of_linear_layers_select_the_inputs_of_n_of_m(block: Block, target: Target) -> None:
    choice = chosen(LINEAR, "nm", block, block[0] / block[1], target)
    assert choice.used.format == "nm"
    assert isinstance(choice.kernel.tile, WindowTile)
    assert f"of {target.lanes} inputs selected" in str(choice.kernel)


def test_kernels_that_select_are_compared_with_the_others(x86: Target) -> None:
    weight = kernels.weights(LINEAR)
    weight *= formats.get("nm").mask(abs(weight), 0.25, (1, 4))
    tiles = [way.kernel.tile for way in choose.candidates(LINEAR, weight, x86)]
    assert len(tiles) > 2
    assert [isinstance(tile, WindowTile) for tile in tiles].count(True) == 1
    without = choose.choose(LINEAR, weight, replace(x86, permute=""))
    assert not isinstance(without.kernel.tile, WindowTile)


@pytest.mark.parametrize("rows", [1, 4, 16])
def test_lanes_select_for_few_rows_too_where_weights_are_what_takes_time(
    rows: int, x86: Target
) -> None:
    choice = chosen(replace(LINEAR, input=(rows,)), "nm", (2, 4), 0.5, replace(x86, cores=1))
    assert isinstance(choice.kernel.tile, WindowTile)
