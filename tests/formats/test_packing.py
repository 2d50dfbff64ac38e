from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tvm_sparse import formats
from tvm_sparse.errors import FormatError
from tvm_sparse.formats.protocol import Block, Weight


def blocks_of(name: str) -> st.SearchStrategy[Block]:
    sizes = len(formats.get(name).blocks[0])
    return st.lists(st.integers(1, 9), min_size=sizes, max_size=sizes).map(tuple)


values = st.floats(-8, 8, width=32).filter(lambda v: v != 0) | st.just(0.0)
shapes = npst.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=7) | npst.array_shapes(
    min_dims=2, max_dims=2, min_side=1, max_side=17
)
weights = npst.arrays(np.float32, shapes, elements=values)


@pytest.mark.parametrize("name", formats.names())
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_unpacking_gives_back_every_bit(name: str, data: st.DataObject) -> None:
    weight = data.draw(weights)
    form, block = formats.get(name), data.draw(blocks_of(name))
    back = form.unpack(form.pack(weight, block))
    assert back.dtype == weight.dtype
    np.testing.assert_array_equal(back.view(np.uint32), (weight + 0.0).view(np.uint32))


@pytest.mark.parametrize("name", formats.names())
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_row_blocks_hold_the_same_weights(name: str, data: st.DataObject) -> None:
    weight = data.draw(weights)
    form, block = formats.get(name), data.draw(blocks_of(name))
    rows = form.rows(weight, block)
    dense = rows.dense(len(weight), weight[0].size)
    np.testing.assert_array_equal(dense, weight.reshape(dense.shape))


@pytest.mark.parametrize("name", formats.names())
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_masked_weights_are_detected_in_their_own_format(name: str, data: st.DataObject) -> None:
    scores = data.draw(npst.arrays(np.float32, shapes, elements=st.floats(1, 2, width=32)))
    form = formats.get(name)
    block = data.draw(st.sampled_from(form.blocks))
    weight = scores * form.mask(scores, data.draw(st.floats(0.1, 1.0)), block)
    assert form.fits(weight, block)
    found = form.detect(weight)
    assert found is not None and form.fits(weight, found)


@pytest.mark.parametrize("name", [n for n in formats.names() if n != "dense"])
@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_masks_keep_the_share_of_boxes_that_was_asked_for(name: str, density: float) -> None:
    form = formats.get(name)
    block = {0: (), 1: (4,), 2: (4, 2)}[len(form.blocks[0])]
    scores = np.random.default_rng(0).random((64, 32, 3, 3)).astype(np.float32)
    assert abs(form.mask(scores, density, block).mean() - density) < 0.02


@pytest.mark.parametrize("name", [n for n in formats.names() if n != "dense"])
def test_masks_keep_the_boxes_with_the_highest_scores(name: str) -> None:
    form = formats.get(name)
    block = {0: (), 1: (2,), 2: (2, 2)}[len(form.blocks[0])]
    scores = np.random.default_rng(0).random((8, 8, 3, 3)).astype(np.float32)
    keep = form.mask(scores, 0.5, block)
    assert scores[keep].mean() > scores[~keep].mean()


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
