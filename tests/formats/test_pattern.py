from __future__ import annotations

import numpy as np
import pytest

from tvm_sparse import choose, formats
from tvm_sparse.errors import FormatError
from tvm_sparse.formats import libraries
from tvm_sparse.formats.pattern import FORMAT, KernelPatterns
from tvm_sparse.formats.protocol import Weight

CROSS = [0, 1, 0, 0, 1, 1, 0, 1, 0]
CORNER = [1, 1, 0, 1, 1, 0, 0, 0, 0]


def scores(*shape: int) -> Weight:
    return np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32)


def dense(found: KernelPatterns, shape: tuple[int, ...]) -> Weight:
    """Read the kernels one by one."""
    out = np.zeros((shape[0], shape[1], found.library.shape[1]), found.values.dtype)
    for f in range(shape[0]):
        for p, pattern in enumerate(found.library):
            for row in range(found.ptr[f, p], found.ptr[f, p + 1]):
                out[f, found.channel[row], pattern] = found.values[row]
    return out.reshape(shape)


def test_the_library_holds_the_patterns_that_most_kernels_would_choose() -> None:
    kernels = np.array([CROSS] * 5 + [CORNER] * 3 + [CORNER[::-1]], float) + 0.01
    library = libraries.derive(kernels, (4, 2), 4)
    assert library.astype(int).tolist() == [CROSS, CORNER]


def test_every_pattern_keeps_the_middle_of_the_kernel() -> None:
    for shape, middle in {(8, 8, 3, 3): 4, (8, 8, 5, 5): 12, (8, 8, 5): 2, (8, 8, 1, 7): 3}.items():
        weight = scores(*shape)
        assert libraries.centre(shape) == middle
        keep = FORMAT.mask(weight, 0.1, (3, 4)).reshape(64, -1)
        assert keep[keep.any(axis=1), middle].all()


def test_live_kernels_keep_k_positions_in_one_of_at_most_l_patterns() -> None:
    keep = FORMAT.mask(scores(16, 16, 3, 3), 0.2, (4, 6)).reshape(256, 9)
    live = keep[keep.any(axis=1)]
    assert len(live) == round(0.2 * 2304 / 4)
    assert (live.sum(axis=1) == 4).all()
    assert len(np.unique(live, axis=0)) <= 6


def test_the_weakest_kernels_are_removed() -> None:
    weight = scores(8, 8, 3, 3)
    weight[2:4] *= 0.1
    keep = FORMAT.mask(weight, 4 / 9 * 0.75, (4, 8))
    assert not keep[2:4].any()
    assert keep[[0, 1, 4, 5, 6, 7]].sum() == 6 * 8 * 4


def test_a_density_above_k_positions_is_refused_with_a_block_that_would_do() -> None:
    with pytest.raises(FormatError, match=r"keeps at most 0\.4444 .* use pattern-5x8"):
        FORMAT.mask(scores(8, 8, 3, 3), 0.5, (4, 8))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1, 1)])
def test_kernels_of_one_position_are_refused(shape: tuple[int, ...]) -> None:
    assert not FORMAT.suits(shape, (1, 8))
    assert FORMAT.detect(scores(*shape)) is None
    with pytest.raises(FormatError, match="use nm or unstructured"):
        FORMAT.mask(scores(*shape), 0.5, (1, 8))


def test_patterns_larger_than_the_kernel_are_refused() -> None:
    with pytest.raises(FormatError, match="keeps 4 of 3 kernel positions"):
        FORMAT.pack(scores(8, 8, 1, 3), (4, 8))


@pytest.mark.parametrize("shape", [(10, 7, 3, 3), (6, 9, 5, 5), (12, 5, 7), (4, 3, 1, 5)])
def test_kernels_read_one_by_one_give_the_weight(shape: tuple[int, ...]) -> None:
    weight = scores(*shape)
    weight *= FORMAT.mask(weight, 0.1, (3, 8))
    weight[1] = 0
    found = FORMAT.kernels(weight, (3, 8))
    np.testing.assert_array_equal(dense(found, shape), weight)
    assert found.ptr.shape == (shape[0], len(found.library) + 1)
    assert (found.ptr[1] == found.ptr[1, 0]).all()  # a filter without kernels


def test_kernels_of_a_filter_are_sorted_by_pattern_then_channel() -> None:
    weight = scores(4, 32, 3, 3)
    weight *= FORMAT.mask(weight, 0.3, (4, 8))
    found = FORMAT.kernels(weight, (4, 8))
    keys = (found.filter * 8 + found.pattern) * 32 + found.channel
    assert (np.diff(keys) > 0).all()
    rows = FORMAT.rows(weight, (4, 8))
    assert (
        rows.taps[::4].tolist()
        == (found.channel * 9 + found.positions[found.pattern][:, 0]).tolist()
    )


def test_a_kernel_has_one_index_and_a_weight_none() -> None:
    weight = scores(32, 64, 3, 3)
    weight *= FORMAT.mask(weight, 0.2, (4, 8))
    live = int(weight.any(axis=(2, 3)).sum())
    packed = FORMAT.pack(weight, (4, 8))
    assert packed.values.nbytes == live * 4 * 4
    assert packed.index.nbytes == live  # 64 channels: a byte each
    assert packed.ptr.nbytes == 2 * (32 * 8 + 1)
    assert packed.nbytes == live * 17 + packed.ptr.nbytes + 8 * 9 // 8


def test_a_live_kernel_may_hold_zeros_within_its_pattern() -> None:
    weight = np.zeros((2, 2, 3, 3), np.float32)
    weight[0, 0, :2, :2] = 1
    weight[1, 1, 0, :2] = 2  # part of the pattern above
    packed = FORMAT.pack(weight, (4, 1))
    assert packed.values.tolist() == [[1, 1, 1, 1], [2, 2, 0, 0]]
    np.testing.assert_array_equal(FORMAT.unpack(packed), weight)


def test_detection_finds_positions_and_patterns_from_the_zeros_alone() -> None:
    weight = scores(64, 64, 3, 3)
    for block in ((4, 8), (5, 6), (3, 12)):
        pruned = weight * FORMAT.mask(weight, 0.15, block)
        assert FORMAT.detect(pruned) == block
        found = choose.find(pruned)
        assert (found.format, found.block) == ("pattern", block)


def test_kernels_removed_whole_are_a_pattern_of_all_positions() -> None:
    weight = scores(16, 16, 3, 3)
    weight[np.random.default_rng(1).random((16, 16)) < 0.6] = 0
    assert FORMAT.detect(weight) == (9, 1)
    live = np.argwhere(weight.any(axis=(2, 3)))[0]
    weight[*live, 0, 0] = 0
    assert FORMAT.detect(weight) is None


def test_scattered_zeros_are_not_named_so() -> None:
    weight = scores(64, 64, 3, 3)
    for density in (0.05, 0.2, 0.4, 0.8):
        places = np.random.default_rng(1).random(weight.shape)
        scattered = weight * formats.get("unstructured").mask(places, density)
        assert choose.find(scattered).format == "unstructured"
