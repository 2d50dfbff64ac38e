from __future__ import annotations

import pytest

from tvm_sparse.workflow.config import Config
from tvm_sparse.workflow.correction import corrected, good
from tvm_sparse.workflow.shared import Shared


def test_the_first_correction_is_in_proportion() -> None:
    assert corrected([(2.5, 1.25)], 1) == pytest.approx(2.5 * 1.005 / 1.25)
    assert corrected([(0.010, 0.8)], -1) == pytest.approx(0.010 * 0.8 / 1.005)


@pytest.mark.parametrize("power", [0.5, 1.7])
def test_two_tries_tell_the_power_by_which_speed_grows(power: float) -> None:
    tries = [(asked, 0.05 * asked**power) for asked in (4.0, 5.0)]
    asked = corrected(tries, 1)
    assert 0.05 * asked**power == pytest.approx(1.005)


def test_tries_that_contradict_each_other_are_noise() -> None:
    assert corrected([(4.0, 1.1), (4.2, 1.05)], 1) == pytest.approx(4.2 * 1.005 / 1.05)
    assert corrected([(4.0, 1.1), (4.0, 1.05)], 1) == pytest.approx(4.0 * 1.005 / 1.05)


def test_between_a_plan_too_slow_and_one_too_fast_both_tell_where_to_go_on() -> None:
    tries = [(asked, 0.2 * asked) for asked in (6.0, 4.0)]
    assert corrected(tries, 1) == pytest.approx(1.005 / 0.2)
    asked = corrected([(5.0, 0.6), (6.0, 1.2), (5.5, 0.7), (5.9, 1.1)], 1)
    assert 5.5 < asked < 5.9
    times = [(0.010, 0.8), (0.006, 1.2)]
    assert 0.006 < corrected(times, -1) < 0.010


def test_a_try_that_almost_met_leaves_some_way_to_the_next_one() -> None:
    assert corrected([(4.0, 1.0049), (6.0, 1.5)], 1) >= 4.0 * 1.5**0.1 - 1e-9


def test_plans_a_little_too_fast_are_good_and_those_too_slow_sooner_bad() -> None:
    assert [share for share in (0.97, 0.98, 1.0, 1.03, 1.04) if good(share)] == [0.98, 1.0, 1.03]


def test_predictions_are_mended_by_that_of_the_dense_network() -> None:
    def calibrated(seconds: float, predicted: float, measured: float) -> float:
        shared = Shared(config=Config(), folder=None, tell=None)  # type: ignore[arg-type]
        shared.__dict__["measured"] = {"seconds": measured, "predicted": predicted}
        return shared.calibrated(seconds)

    assert calibrated(0.2, predicted=1.0, measured=1.1) == pytest.approx(0.22)
    assert calibrated(0.2, predicted=1.0, measured=0.9) == pytest.approx(0.18)
