from __future__ import annotations

import pytest

from tvm_sparse.workflow.correction import corrected


def test_the_first_correction_is_in_proportion() -> None:
    assert corrected([(2.5, 1.25)], 1) == pytest.approx(2.5 * 1.005 / 1.25)
    assert corrected([(0.010, 0.8)], -1) == pytest.approx(0.010 * 0.8 / 1.005)


@pytest.mark.parametrize("power", [0.5, 1.7])
def test_two_tries_tell_the_power_by_which_speed_grows(power: float) -> None:
    tries = [(asked, 0.3 * asked**power) for asked in (4.0, 5.0)]
    asked = corrected(tries, 1)
    assert 0.3 * asked**power == pytest.approx(1.005)


def test_tries_that_contradict_each_other_are_noise() -> None:
    assert corrected([(4.0, 1.1), (4.2, 1.05)], 1) == pytest.approx(4.2 * 1.005 / 1.05)
    assert corrected([(4.0, 1.1), (4.0, 1.05)], 1) == pytest.approx(4.0 * 1.005 / 1.05)
