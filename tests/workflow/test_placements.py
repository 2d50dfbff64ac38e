from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tvm_sparse.bench.timing import Times
from tvm_sparse.workflow.placements import Compared, compared, confirmed


def load(speedup: float, dense: float = 1.0) -> Compared:
    """One load of a few rounds, whose speed-up is exact, on a machine that slows dense down."""
    return Compared(
        dense=(Times(rounds=(dense,) * 8),), sparse=(Times(rounds=(dense / speedup,) * 8),)
    )


def loads(found: Iterator[Compared]) -> Callable[[], Compared]:
    return lambda: next(found)


def test_five_loads_of_a_quiet_machine_are_enough() -> None:
    found = compared(loads(load(speedup) for speedup in (2.5, 2.51, 2.49, 2.5, 2.5)))
    assert len(found.dense) == 5 and found.speedup == pytest.approx(2.5)


def test_rounds_beside_a_neighbour_do_not_count() -> None:
    quiet, loud = load(2.5), load(2.2, dense=1.1)
    many = [quiet, *[loud] * 9, quiet, *[loud] * 9, quiet]
    found = compared(loads(iter(many)))
    assert len(found.dense) == 11 and found.speedup == pytest.approx(2.5)
    assert [one.median for one in found.times] == pytest.approx([1.0, 0.4])


def test_a_round_is_quiet_if_the_dense_network_was_fast_before_and_after_it() -> None:
    dense, sparse = [1.0, 1.0, 1.0, 1.2, 1.2, 1.2, 1.0, 1.0], [0.4, 0.4, 0.3, 9, 9, 0.3, 0.4, 0.4]
    one = Compared(dense=(Times(rounds=tuple(dense)),), sparse=(Times(rounds=tuple(sparse)),))
    found = one
    for _ in range(6):
        found = found.with_more(one)
    assert len(found.rounds) == 28 and (found.ratios == 2.5).all()


def test_on_a_machine_that_is_never_quiet_the_quieter_half_counts() -> None:
    loud, louder = load(2.2, dense=1.1), load(2.0, dense=1.2)
    found = Compared(dense=loud.dense, sparse=loud.sparse, fastest=1.0)
    found = compared(loads(iter([found, *[loud] * 15, *[louder] * 90])))
    assert len(found.dense) == 40 and found.speedup == pytest.approx(2.2) and found.floor == 1.0


def test_where_nothing_is_known_of_the_machine_it_is_watched_for_longer() -> None:
    loud, quiet = load(1.0, dense=1.1), load(1.0)
    found = compared(loads(iter([*[loud] * 9, *[quiet] * 9])), least=12)
    assert len(found.dense) == 12 and found.times[0].median == 1.0


def test_rounds_that_disagree_are_repeated_until_the_median_is_known() -> None:
    speedups = [2.45, 2.55, 2.5] * 30
    found = compared(loads(load(speedup) for speedup in speedups))
    assert len(found.dense) == 5 and found.speedup == pytest.approx(2.5)


def test_a_sparse_network_that_was_slow_between_two_quiet_rounds_does_not_count() -> None:
    one = load(2.5).with_more(load(2.0)).with_more(load(2.5))
    assert len(one.rounds) == 16 and one.speedup == pytest.approx(2.5)


def measurements(*speedups: float) -> tuple[Callable[[], Compared], list[float]]:
    left = list(speedups)

    def measure() -> Compared:
        one = load(left.pop(0))
        return one.with_more(one).with_more(one)

    return measure, left


def good(found: Compared) -> bool:
    return 2.45 < found.speedup < 2.6


def test_what_missed_is_believed_at_once() -> None:
    measure, left = measurements(2.2, 2.5)
    assert confirmed(measure, good).speedup == pytest.approx(2.2) and left == [2.5]


def test_what_is_good_is_measured_a_second_time() -> None:
    measure, left = measurements(2.5, 2.52, 9.0)
    assert confirmed(measure, good).speedup == pytest.approx(2.51) and left == [9.0]


def test_measurements_that_disagree_are_repeated_and_the_quiet_ones_count() -> None:
    measure, left = measurements(2.5, 2.2, 2.5, 2.49, 9.0)
    assert confirmed(measure, good).speedup == pytest.approx(2.5) and left == [9.0]
    measure, left = measurements(2.5, 2.6, 2.61, 9.0)
    assert confirmed(measure, good).speedup == pytest.approx(2.6) and left == [9.0]
