"""Which weights go together, and which part of a mask can be made alone."""

from __future__ import annotations

import numpy as np
import pytest

from support.formats import cases
from tvm_sparse import formats
from tvm_sparse.formats.protocol import Block, Weight

SHAPES = [(16, 20, 3, 3), (10, 17, 1, 1), (13, 24), (9, 16, 5)]
SUITED = [
    (name, block, shape)
    for name, block in cases()
    for shape in SHAPES
    if formats.get(name).suits(shape, block)
]
DEPENDS = ("nm", "pattern", "regrouped")  # which weights go together depends on the weights


def scores(shape: tuple[int, ...]) -> Weight:
    return np.asarray(np.random.default_rng(0).random(shape))


@pytest.mark.parametrize(("name", "block", "shape"), SUITED)
def test_masks_keep_or_remove_whole_groups(name: str, block: Block, shape: tuple[int, ...]) -> None:
    form = formats.get(name)
    groups = form.groups(shape, block)
    assert groups.shape == shape
    keep = form.mask(scores(shape), min(0.4, form.limit(shape, block)), block)
    some, every = np.zeros(groups.max() + 1, bool), np.ones(groups.max() + 1, bool)
    np.logical_or.at(some, groups, keep)
    np.logical_and.at(every, groups, keep)
    if name == "pattern":  # a live kernel keeps some of its positions
        assert some.sum() * block[0] == keep.sum()
    elif name in DEPENDS:
        assert len(np.unique(groups)) == groups.size
    else:
        assert (some == every)[np.unique(groups)].all()
        assert np.unique(groups).size >= (1 if name == "dense" else 2)


@pytest.mark.parametrize(("name", "block", "shape"), SUITED)
def test_masks_of_slices_of_channels_make_a_mask_of_all(
    name: str, block: Block, shape: tuple[int, ...]
) -> None:
    form = formats.get(name)
    step = form.channel_step(shape, block)
    assert 1 <= step <= shape[1] or name == "block"
    density = min(0.4, form.limit(shape, block))
    whole = scores(shape)
    parts = [
        form.mask(whole[:, begin : begin + step], density, block)
        for begin in range(0, shape[1], step)
        if step < shape[1]
    ]
    if parts:
        assert form.fits(np.concatenate(parts, axis=1).astype(float), block)
    else:
        assert name not in ("unstructured", "one_by_n", "channel", "nm", "block_punched")
