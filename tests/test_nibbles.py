"""Weights as codes of four bits."""

from __future__ import annotations

import numpy as np
import pytest

from tvm_sparse import nibble_rows, nibbles
from tvm_sparse.nibbles import TABLES, Nibbles


def weight(shape: tuple[int, int] = (37, 150)) -> nibbles.Weight:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("group", [32, 64, 1024])
def test_rounding_to_integers_is_off_by_half_a_step_where_nothing_is_clipped(group: int) -> None:
    given = weight()
    found = nibbles.integers(given, group)
    scale = np.repeat(found.scale, found.group, axis=1)[:, : given.shape[1]]
    steps = given / scale
    inside = np.abs(steps) <= nibbles.MOST
    assert np.abs(found.dense() - given)[inside].max() <= 0.5001 * scale.max()
    assert inside.mean() > 0.95


def test_scales_have_less_error_than_those_of_the_largest_weights() -> None:
    given = weight()
    scale = np.abs(given).max(axis=1, keepdims=True) / nibbles.MOST
    plain = np.rint(given / scale) * scale
    found = nibbles.integers(given, given.shape[1]).dense()
    assert ((found - given) ** 2).sum() < 0.95 * ((plain - given) ** 2).sum()


def test_rounded_weights_are_found_to_be_integers_and_others_are_not() -> None:
    given = weight()
    given[3] = 0
    rounded = nibbles.integers(given, 64)
    found = nibbles.find_integers(rounded.dense(), 64)
    assert found is not None
    np.testing.assert_array_equal(found.codes, rounded.codes)
    np.testing.assert_allclose(found.dense(), rounded.dense(), rtol=1e-6)
    assert nibbles.find_integers(given, 64) is None


@pytest.mark.parametrize(
    ("low", "high", "sign"),
    [(-8, 7, 1), (-8, 7, -1), (0, 15, 1), (-3, 12, 1), (-2, 1, 1), (-15, 0, 1)],
)
def test_integers_of_any_sixteen_numbers_are_found_with_the_very_same_floats(
    low: int, high: int, sign: int
) -> None:
    rng = np.random.default_rng(0)
    scale = sign * rng.uniform(0.001, 3, (40, 5)).astype(np.float32)
    given = rng.integers(low, high + 1, (40, 70)) * np.repeat(scale, 16, axis=1)[:, :70]
    found = nibbles.find_integers(given.astype(np.float32), 16)
    assert found is not None and (found.zero is not None) == (not -8 <= low <= high <= 7)
    np.testing.assert_array_equal(found.dense(), given.astype(np.float32))
    np.testing.assert_array_equal(found.kept, given != 0)


def test_integers_of_more_than_sixteen_numbers_are_not_found() -> None:
    given = np.linspace(-9, 8, 18, dtype=np.float32)[None]
    assert nibbles.find_integers(given, 24) is None


def test_powers_of_two_are_found_and_other_weights_are_not() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 16, (20, 50))
    codes[codes == 8] = 0
    codes[:, 0] = 7  # the largest power of a filter decides its scale
    given = TABLES["power_of_two"][codes] * 2.0 ** rng.integers(-9, 9, (20, 1)).astype(np.float32)
    found = nibbles.find_powers(given)
    assert found is not None
    np.testing.assert_array_equal(found.dense(), given)
    assert nibbles.find_powers(given * 3) is not None  # a filter's scale may be any number
    given[0, 1] = 3 * given[0, 0] / 4
    assert nibbles.find_powers(given) is None


def test_words_hold_eight_codes_the_first_in_the_lowest_bits() -> None:
    codes = np.arange(1, 11, dtype=np.uint8)[None]
    np.testing.assert_array_equal(nibbles.words(codes).view(np.uint32), [[0x87654321, 0xA9]])


def test_lists_bring_back_every_code_with_its_group() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 16, (20, 70)) * (rng.random((20, 70)) < 0.05)
    scale = np.ones((20, 3), np.float32)
    given = Nibbles(codes=codes.astype(np.uint8), scale=scale, group=32, code="int4")
    rows = nibble_rows.sparse(given, 16)
    assert rows.ptr[-1] == nibble_rows.count(codes != 0, 16, 32) == len(rows.words)
    back = np.zeros((32, 70), np.uint8)
    for panel, (begin, end) in enumerate(zip(rows.ptr[:-1], rows.ptr[1:], strict=True)):
        for k in range(begin, end):
            for place in range(8):
                channel = rows.channel[8 * k + place]
                code = rows.words[k].view(np.uint32) >> np.uint32(4 * place) & np.uint32(15)
                back[16 * panel : 16 * panel + 16, channel] |= code.astype(np.uint8)
                assert not code.any() or channel // 32 == rows.group[k]
    np.testing.assert_array_equal(back[:20], codes)
    assert not back[20:].any()
