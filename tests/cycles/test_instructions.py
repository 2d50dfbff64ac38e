"""Words of A64 code are recognized: branches, where they go, multiply-adds."""

from __future__ import annotations

import numpy as np
import pytest

from tvm_sparse.cycles import instructions

FMLA, FMLA_ELEMENT, FMLS_ELEMENT, FMLA_HALF = 0x4E22CC20, 0x4FBF1841, 0x4F835841, 0x4E430C41
FMUL, FADD, FMLA_OF_TWO, NOP = 0x4F839041, 0x4E23D441, 0x0FA31041, 0xD503201F
B_BACK_3, CBZ_ON_4, TBNZ_BACK_2, BL_ON_16, RET = (
    0x54FFFFA1,
    0xB4000083,
    0x3717FFC3,
    0x94000010,
    0xD65F03C0,
)


def words(*values: int) -> instructions.Words:
    return np.array(values, np.uint32)


@pytest.mark.parametrize("word", [FMLA, FMLA_ELEMENT, FMLS_ELEMENT, FMLA_HALF])
def test_multiply_adds_of_whole_vectors_are_counted(word: int) -> None:
    assert instructions.multiply_adds(words(word, NOP)).tolist() == [True, False]


@pytest.mark.parametrize("word", [FMUL, FADD, FMLA_OF_TWO, NOP, RET])
def test_other_instructions_are_no_multiply_adds(word: int) -> None:
    assert not instructions.multiply_adds(words(word)).any()


@pytest.mark.parametrize(
    ("word", "distance"), [(B_BACK_3, -3), (CBZ_ON_4, 4), (TBNZ_BACK_2, -2), (BL_ON_16, 16)]
)
def test_direct_branches_say_how_far_they_go(word: int, distance: int) -> None:
    assert instructions.target(word) == distance


@pytest.mark.parametrize("word", [RET, FMLA, NOP])
def test_other_instructions_go_nowhere(word: int) -> None:
    assert instructions.target(word) is None


def test_blocks_begin_at_targets_and_after_branches() -> None:
    code = words(NOP, FMLA, NOP, NOP, B_BACK_3, NOP, RET, NOP)
    assert np.nonzero(instructions.leaders(code))[0].tolist() == [0, 1, 5, 7]


def test_multiply_adds_become_moves_of_the_same_registers() -> None:
    code = instructions.without_arithmetic(words(FMLA, NOP))
    assert code.tolist() == [0x4EA11C20, NOP]  # mov v0.16b, v1.16b
