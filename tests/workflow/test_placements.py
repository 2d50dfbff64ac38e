from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tvm_sparse.bench.timing import Times
from tvm_sparse.workflow.placements import Compared, compared, confirmed, together


def load(speedup: float, dense: float = 1.0) -> Compared:
    """One load, whose speed-up is exact, on a machine of some speed."""
    sparse = tuple(dense / speedup * factor for factor in (0.9, 1.0, 1.1))
    return Compared(
        dense=(Times(rounds=(0.9 * dense, dense, 1.1 * dense)),), sparse=(Times(rounds=sparse),)
    )


def loads(speedups: Iterator[float]) -> Callable[[], Compared]:
    return lambda: load(next(speedups))


def test_a_speedup_is_the_median_over_loads_of_pairs_taken_in_turns() -> None:
    found = load(2.0).with_more(load(2.5, dense=3.0)).with_more(load(9.0))
    assert found.speedup == pytest.approx(2.5)
    assert found.seconds == together(found.sparse).median
    rounds = (0.9, 1.0, 1.1, 2.7, 3.0, 3.3, 0.9, 1.0, 1.1)
    assert together(found.dense).rounds == pytest.approx(rounds)


def test_five_loads_that_agree_are_enough() -> None:
    found = compared(loads(iter([2.5, 2.51, 2.49, 2.5, 2.5])))
    assert len(found.ratios) == 5 and found.speedup == pytest.approx(2.5)


def test_loads_that_disagree_are_repeated_until_the_median_is_known() -> None:
    found = compared(loads(iter([2.0, 3.0, 2.5] * 9)))
    assert len(found.ratios) == 15 and found.error > 0.01
    assert found.speedup == pytest.approx(2.5)


def measurements(*speedups: float) -> tuple[Callable[[], Compared], list[float]]:
    left = list(speedups)
    return lambda: load(left.pop(0)), left


def good(found: Compared) -> bool:
    return 2.45 < found.speedup < 2.6


def test_what_missed_is_believed_at_once() -> None:
    measure, left = measurements(2.2, 2.5)
    assert confirmed(measure, good).speedup == pytest.approx(2.2) and left == [2.5]


def test_what_is_good_is_measured_a_second_time() -> None:
    measure, left = measurements(2.5, 2.52, 9.0)
    assert confirmed(measure, good).speedup == pytest.approx(2.51) and left == [9.0]


def test_where_two_measurements_disagree_the_median_of_all_counts() -> None:
    measure, left = measurements(2.5, 2.2, 2.21, 9.0)
    assert confirmed(measure, good).speedup == pytest.approx(2.21) and left == [9.0]
    measure, left = measurements(2.5, 2.2, 2.5, 2.2, 9.0)
    assert confirmed(measure, good).speedup == pytest.approx(2.35) and left == [9.0]
