from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvm_sparse.errors import FormatError
from tvm_sparse.scheme import Scheme

schemes = st.builds(
    Scheme,
    format=st.sampled_from(["block", "one_by_n", "unstructured", "nm", "regrouped"]),
    block=st.lists(st.integers(1, 64), max_size=3).map(tuple),
    density=st.floats(1e-9, 1.0, exclude_min=True),
    bits=st.sampled_from([4, 8, 16, 32]),
)


@given(schemes)
def test_text_round_trips(scheme: Scheme) -> None:
    assert Scheme.parse(str(scheme)) == scheme


def test_bits_may_be_left_out() -> None:
    scheme = Scheme.parse("block_punched-8x4@0.25")
    assert scheme == Scheme(format="block_punched", block=(8, 4), density=0.25, bits=32)


@pytest.mark.parametrize("text", ["", "block", "block@", "block-@0.5", "block-4x@0.5", "@0.5"])
def test_other_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(FormatError, match=r"block_punched-8x4@0\.25"):
        Scheme.parse(text)


@pytest.mark.parametrize("density", [0.0, -0.1, 1.5])
def test_density_outside_of_its_range_is_refused(density: float) -> None:
    with pytest.raises(FormatError, match="density"):
        Scheme(format="block", density=density)


def test_block_sizes_below_one_are_refused() -> None:
    with pytest.raises(FormatError, match="at least 1"):
        Scheme(format="block", block=(0, 4))
