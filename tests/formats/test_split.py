from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from support.formats import blocks, cases, pruned
from tvm_sparse import choose, formats
from tvm_sparse.formats import split
from tvm_sparse.formats.protocol import Block, Weight

shapes = st.sampled_from([(9, 10, 3, 3), (16, 8, 5), (33, 17), (1, 5, 3, 3)])
SCHEMES: list[tuple[str, Block, float]] = [
    ("one_by_n", (4,), 0.25),
    ("block_punched", (8, 4), 0.25),
    ("block", (4, 4), 0.2),
    ("filter", (), 0.5),
    ("channel", (), 0.5),
    ("periodic", (4, 4), 0.25),
    ("pattern", (4, 8), 0.25),
    ("nm", (2, 4), 0.5),
    ("regrouped", (), 0.2),
]


def with_strays(weight: Weight, share: float) -> Weight:
    """The weight with a few more non-zeros, smaller than its own."""
    zeros = np.nonzero(weight.reshape(-1) == 0)[0]
    number = int(share * np.count_nonzero(weight))
    out = weight.copy()
    out.reshape(-1)[np.random.default_rng(5).choice(zeros, number, replace=False)] = 0.05
    return out


def scores() -> Weight:
    return np.random.default_rng(0).uniform(1, 2, (64, 64, 3, 3)).astype(np.float32)


@pytest.mark.parametrize("name", formats.names())
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_core_and_rest_are_disjoint_and_add_up_to_the_weight(
    name: str, data: st.DataObject
) -> None:
    shape, block = data.draw(shapes), data.draw(st.sampled_from(blocks(name)))
    form = formats.get(name)
    assume(form.objection(shape, block) is None)
    density = data.draw(st.floats(0, 1))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    weight = rng.standard_normal(shape).astype(np.float32) * (rng.random(shape) < density)
    parts = split.split(weight, name, block)
    assert not ((parts.core != 0) & (parts.rest != 0)).any()
    np.testing.assert_array_equal(parts.core + parts.rest, weight)
    np.testing.assert_array_equal(form.unpack(form.pack(parts.core, block)), parts.core)


@pytest.mark.parametrize(("name", "block"), cases())
def test_a_weight_that_fits_is_all_core(name: str, block: Block) -> None:
    weight = pruned(scores(), name, block)
    parts = split.split(weight, name, block)
    np.testing.assert_array_equal(parts.core, weight)
    assert parts.strays == 0


@pytest.mark.parametrize(("name", "block", "density"), SCHEMES)
def test_strays_are_the_rest(name: str, block: Block, density: float) -> None:
    keep = formats.get(name).mask(scores(), density, block)
    weight = with_strays(scores() * keep, 0.03)
    parts = split.split(weight, name, block)
    assert parts.strays == pytest.approx(0.03 / 1.03, rel=0.1)
    assert np.count_nonzero(parts.core * ~keep) <= 0.002 * keep.sum()


@pytest.mark.parametrize(("name", "block", "density"), SCHEMES)
def test_the_format_is_found_in_spite_of_strays(name: str, block: Block, density: float) -> None:
    weight = with_strays(pruned(scores(), name, block, density), 0.03)
    exactly = choose.find(weight)
    assert (exactly.format, exactly.block) != (name, block)
    assert split.nearest(weight, choose.NAMED) == (name, block)


def test_many_strays_are_no_strays() -> None:
    weight = with_strays(pruned(scores(), "block_punched", (8, 4), 0.25), 0.2)
    found = split.nearest(weight, ["block_punched"])
    assert found is None
    assert split.nearest(weight, ["block_punched"], strays=0.3) == ("block_punched", (8, 4))


@pytest.mark.parametrize("density", [0.05, 0.2, 0.5, 0.9])
def test_scattered_weights_are_near_to_no_format(density: float) -> None:
    weight = scores() * (np.random.default_rng(3).random((64, 64, 3, 3)) < density)
    assert split.nearest(weight, choose.NAMED) is None


def test_boxes_stay_whole_from_forty_percent_on() -> None:
    weight = np.zeros((5, 4), np.float32)
    weight[:2, 0] = 1  # 2 of 5
    weight[:1, 1] = 1  # 1 of 5
    parts = split.split(weight, "block", (5, 1))
    assert parts.core[:, 0].tolist() == [1, 1, 0, 0, 0]
    assert not parts.core[:, 1:].any()
    assert parts.rest.sum() == 1


def test_the_weakest_beyond_n_are_the_rest() -> None:
    weight = np.array([[3, -1, 2, 0], [1, 1, 0, 0]], np.float32)
    parts = split.split(weight, "nm", (2, 4))
    assert parts.core.tolist() == [[3, 0, 2, 0], [1, 1, 0, 0]]
    assert parts.rest.tolist() == [[0, -1, 0, 0], [0, 0, 0, 0]]


def test_large_layers_are_compared_on_a_part_of_their_filters() -> None:
    weight = np.random.default_rng(0).uniform(1, 2, (256, 256, 3, 3)).astype(np.float32)
    for name, block, density in SCHEMES:
        found = split.nearest(with_strays(pruned(weight, name, block, density), 0.02), choose.NAMED)
        assert found == (name, block)
