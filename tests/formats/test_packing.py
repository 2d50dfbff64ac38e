from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from support.formats import blocks, takes_any_weight
from tvm_sparse import formats
from tvm_sparse.errors import FormatError
from tvm_sparse.formats.protocol import Block, Weight

values = st.floats(-8, 8, width=32).filter(lambda v: v != 0) | st.just(0.0)
shapes = npst.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=7) | npst.array_shapes(
    min_dims=2, max_dims=2, min_side=1, max_side=17
)


@st.composite
def blocks_and_shapes(draw: st.DrawFn, name: str) -> tuple[Block, tuple[int, ...]]:
    """A block of any size, and a shape on which the format can use it."""
    form, shape = formats.get(name), draw(shapes)
    if name == "pattern" and len(shape) == 2:
        shape = (*shape, 3)  # the kernels of a 1-D convolution
    sizes = len(form.blocks[0])
    block = tuple(draw(st.lists(st.integers(1, 9), min_size=sizes, max_size=sizes)))
    block = tuple(sorted(block)) if name == "nm" else block
    assume(form.objection(shape, block) is None)
    return block, shape


@st.composite
def fitting(draw: st.DrawFn, name: str) -> tuple[Block, Weight]:
    """A weight that the format can store, with some zeros and negative zeros of its own."""
    form, (block, shape) = formats.get(name), draw(blocks_and_shapes(name))
    weight = draw(npst.arrays(np.float32, shape, elements=values))
    if not takes_any_weight(name) or draw(st.booleans()):
        density = draw(st.floats(0.01, form.limit(shape, block)))
        weight = weight * form.mask(abs(weight), density, block)
    assume(takes_any_weight(name) or form.fits(weight, block))
    return block, weight


@pytest.mark.parametrize("name", formats.names())
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_unpacking_gives_back_every_bit(name: str, data: st.DataObject) -> None:
    block, weight = data.draw(fitting(name))
    form = formats.get(name)
    packed = form.pack(weight, block)
    back = form.unpack(packed)
    assert back.dtype == weight.dtype
    np.testing.assert_array_equal(back.view(np.uint32), (weight + 0.0).view(np.uint32))
    assert packed.nbytes >= 4 * np.count_nonzero(weight) + packed.index_nbytes


@pytest.mark.parametrize("name", formats.names())
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_row_blocks_hold_the_same_weights(name: str, data: st.DataObject) -> None:
    block, weight = data.draw(fitting(name))
    form = formats.get(name)
    rows = form.rows(weight, block)
    dense = rows.dense(len(weight), weight[0].size)
    np.testing.assert_array_equal(dense, weight.reshape(dense.shape))
    assert rows.filters == form.register_filters(weight.shape, block)
    block_of = np.repeat(np.arange(rows.blocks), np.diff(rows.ptr))
    assert len(set(zip(block_of, rows.taps, strict=True))) == len(rows.taps)


@pytest.mark.parametrize("name", formats.names())
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_row_blocks_are_counted_without_making_them(name: str, data: st.DataObject) -> None:
    block, weight = data.draw(fitting(name))
    form = formats.get(name)
    rows, count = form.rows(weight, block), form.count(weight, block)
    assert (count.blocks, count.taps, count.filters) == (rows.blocks, len(rows.taps), rows.filters)
    assert count.reordered or rows.in_order(len(weight))


@pytest.mark.parametrize("name", formats.names())
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_masked_weights_are_detected_in_their_own_format(name: str, data: st.DataObject) -> None:
    form = formats.get(name)
    shape = data.draw(st.sampled_from([(16, 16, 3, 3), (9, 17, 2, 3), (33, 19, 5)]))
    block = data.draw(st.sampled_from([b for b in form.blocks if form.suits(shape, b)]))
    density = data.draw(st.floats(0.05, form.limit(shape, block)))
    scores = np.random.default_rng(data.draw(st.integers(0, 99))).uniform(1, 2, shape)
    weight = scores * form.mask(scores, density, block)
    assert form.fits(weight, block)
    found = form.detect(weight)
    assert found is not None and form.fits(weight, found)


@pytest.mark.parametrize("name", [n for n in formats.names() if n != "dense"])
@pytest.mark.parametrize("density", [0.1, 0.4, 0.9])
def test_masks_keep_the_share_of_weights_that_was_asked_for(name: str, density: float) -> None:
    form, block = formats.get(name), blocks(name)[0]
    scores = np.random.default_rng(0).random((64, 32, 3, 3)).astype(np.float32)
    if density <= form.limit(scores.shape, block):
        assert abs(form.mask(scores, density, block).mean() - density) < 0.02
    else:
        with pytest.raises(FormatError, match=rf"use {name}-\d+x{block[1]}"):
            form.mask(scores, density, block)


@pytest.mark.parametrize("name", [n for n in formats.names() if n != "dense"])
def test_masks_keep_the_weights_with_the_highest_scores(name: str) -> None:
    form, block = formats.get(name), blocks(name)[0]
    scores = np.random.default_rng(0).random((16, 8, 3, 3)).astype(np.float32)
    keep = form.mask(scores, 0.4, block)
    assert scores[keep].mean() > scores[~keep].mean()


@pytest.mark.parametrize("name", [n for n in formats.names() if n != "dense"])
@pytest.mark.parametrize("density", [0.0, -0.5, 1.5, float("nan")])
def test_densities_out_of_range_are_refused(name: str, density: float) -> None:
    with pytest.raises(FormatError, match=r"density must lie in \(0, 1\]"):
        formats.get(name).mask(np.ones((64, 64, 3, 3)), density, blocks(name)[0])


def test_one_box_stays_however_low_the_density() -> None:
    keep = formats.get("block").mask(np.ones((8, 8), np.float32), 0.001, (4, 4))
    assert keep.sum() == 16


def test_edges_that_the_block_does_not_divide_are_smaller_boxes() -> None:
    weight = np.zeros((5, 7), np.float32)
    weight[4, 6] = 1.0
    packed = formats.get("block").pack(weight, (4, 4))
    assert packed.values.shape == (1, 4, 4, 1)
    assert packed.ptr.tolist() == [0, 0, 1]
    assert packed.index.tolist() == [1]


def test_indices_take_the_smallest_type_that_holds_them() -> None:
    assert formats.get("unstructured").pack(np.eye(3, dtype=np.float32)).index.dtype == np.uint8
    wide = np.ones((1, 70000), np.float32)
    assert formats.get("unstructured").pack(wide).index.dtype == np.uint32


def test_negative_zeros_are_pruned_weights() -> None:
    weight = np.array([[-0.0, 1.0]], np.float32)
    packed = formats.get("unstructured").pack(weight)
    assert packed.values.size == 1


def detected(name: str, weight: Weight) -> Block | None:
    return formats.get(name).detect(weight)


def test_detection_finds_the_largest_block_that_fits() -> None:
    scores = np.random.default_rng(0).random((32, 16, 3, 3)).astype(np.float32) + 0.1
    weight = scores * formats.get("block_punched").mask(scores, 0.3, (8, 4))
    assert detected("block_punched", weight) == (8, 4)
    assert detected("one_by_n", weight) is None
    assert detected("filter", weight) is None
    whole = scores * formats.get("one_by_n").mask(scores, 0.3, (16,))
    assert detected("one_by_n", whole) == (16,)


def test_structured_formats_need_whole_filters_or_channels() -> None:
    weight = np.ones((6, 5, 3, 3), np.float32)
    weight[[1, 4]] = 0
    assert detected("filter", weight) == ()
    assert detected("channel", weight) is None
    assert detected("filter", weight.transpose(1, 0, 2, 3)) is None
    assert detected("channel", weight.transpose(1, 0, 2, 3)) == ()


def test_removed_filters_have_no_row() -> None:
    weight = np.ones((6, 5), np.float32)
    weight[[1, 4]] = 0
    rows = formats.get("filter").rows(weight)
    assert rows.order.tolist() == [0, 2, 3, 5, -1, -1, -1, -1]


@pytest.mark.parametrize("block", [(), (4,), (4, 0), (4, 4, 4)])
def test_blocks_that_do_not_suit_the_format_are_refused(block: Block) -> None:
    with pytest.raises(FormatError, match="takes 2 block sizes"):
        formats.get("block").pack(np.ones((4, 4), np.float32), block)


def test_unknown_formats_are_refused_with_the_known_ones() -> None:
    with pytest.raises(FormatError, match="block_punched"):
        formats.get("bsr")
