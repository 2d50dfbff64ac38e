from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tvm_sparse.errors import PlanError
from tvm_sparse.planning.budget import Budget
from tvm_sparse.planning.plan import Plan, Planned
from tvm_sparse.scheme import Scheme
from tvm_sparse.workflow.lessons import Lesson, distance, learned
from tvm_sparse.workflow.tries import Measured, Tries

WANTED = Budget(kind="speedup", value=5.0)


def plan(speedup: float, form: str = "one_by_n-4") -> Plan:
    """A plan of one layer, dense in a second, with a density of its own for each speed-up."""
    layer = Planned(
        scheme=Scheme.parse(f"{form}@{0.5 / speedup}"),
        seconds=1 / speedup,
        dense_seconds=1.0,
        error=0.1,
        nbytes=1,
        measured=False,
    )
    return Plan(
        layers={"conv": layer},
        seconds=1 / speedup,
        dense_seconds=1.0,
        nbytes=1.0,
        error=0.1,
        reach=9.0,
        search_seconds=0.0,
        budget="5x",
        strategy="dp",
        target="x86",
    )


class Network:
    """Stands in for strategies and machines: what a plan is predicted, and what it takes."""

    def __init__(self, real: Callable[[float], float], step: float = 0.0, reach: float = 9.0):
        self.real, self.step, self.reach = real, step, reach
        self.asked: list[tuple[str, float]] = []
        self.measured: list[float] = []

    def planned(self, strategy: str, asked: Budget) -> Plan:
        if asked.value > self.reach:
            raise PlanError("out of reach")
        self.asked.append((strategy, asked.value))
        steps = -(-asked.value // self.step) * self.step if self.step else asked.value
        return plan(steps)

    def measure(self, found: Plan) -> Measured:
        self.measured.append(found.speedup)
        speedup = self.real(found.speedup)
        return Measured(share=speedup / WANTED.value, off=found.speedup / speedup)

    def tries(self, lessons: tuple[Lesson, ...] = ()) -> Tries:
        return Tries(
            wanted=WANTED,
            planned=self.planned,
            within=lambda asked: replace(asked, value=min(asked.value, self.reach)),
            exchanged=lambda one, seconds: plan(1 / seconds),
            measured=self.measure,
            lessons=lessons,
        )


def test_a_plan_that_misses_is_made_again_with_another_budget() -> None:
    network = Network(lambda predicted: 0.9 * predicted)
    best = network.tries().meet("rules", WANTED)
    assert best.measured.share == pytest.approx(1.005) and best.how == "rules"
    assert network.asked == [("rules", 5.0), ("rules", pytest.approx(5 / 0.9 * 1.005))]


def test_most_of_the_correction_is_done_without_searching() -> None:
    network = Network(lambda predicted: 1.2 * predicted)
    tries = network.tries()
    tries.meet("search", WANTED)
    assert [name for name, _ in network.asked] == ["dp", "dp", "search"]
    assert len(network.measured) == 2  # the search chose what was measured before
    assert [one.how for one in tries.all] == ["dp", "dp"]


def test_where_options_are_far_apart_a_few_layers_are_exchanged() -> None:
    network = Network(lambda predicted: 0.83 * predicted, step=1.5)  # 4.5: 75 %, 6.0: 100 %
    assert network.tries().meet("uniform", WANTED).measured.share == pytest.approx(0.996)
    network = Network(lambda predicted: 0.9 * predicted, step=2.0)  # 6: 1.08, 4: 0.72
    best = network.tries().meet("uniform", WANTED)
    assert best.how == "exchange" and best.measured.share == pytest.approx(1.005)
    assert best.asked.value == pytest.approx(best.plan.speedup)


def test_exchanges_correct_from_both_sides() -> None:
    network = Network(lambda predicted: predicted**1.2 / 1.5, step=3.0)
    best = network.tries().meet("uniform", WANTED)
    assert 0.98 <= best.measured.share <= 1.03


def test_a_search_that_is_off_another_way_each_time_still_ends_in_the_band() -> None:
    offs = iter([1.05, 1.1, 0.95, 1.0, 0.82, 1.2, 0.9, 0.93, 0.93])
    network = Network(lambda predicted: next(offs) * predicted)
    best = network.tries().meet("search", WANTED)
    assert 0.98 <= best.measured.share <= 1.03


def test_a_budget_out_of_reach_is_refused_with_the_nearest_share() -> None:
    network = Network(lambda predicted: min(0.5 * predicted, 3.0), reach=7.0)
    network.step = 7.0
    with pytest.raises(PlanError, match="the best plan that dp found has 60% of the wanted speed"):
        network.tries().meet("dp", WANTED)


def test_what_a_strategy_cannot_reach_at_all_it_says_itself() -> None:
    tries = Network(lambda predicted: predicted, reach=4.0).tries()
    tries.within = lambda asked: asked
    with pytest.raises(PlanError, match="out of reach"):
        tries.meet("rules", WANTED)


def test_a_prediction_is_mended_by_what_was_measured_before_it_alone() -> None:
    network = Network(lambda predicted: 0.8 * predicted)
    tries = network.tries()
    best = tries.meet("rules", WANTED)
    assert [one.measured.off for one in tries.all] == pytest.approx([1.25, 1.25])
    assert tries.all[0].learned == 1.0
    assert 1.1 < best.learned < 1.25  # the dense network, which was right, counts a little
    first = network.tries((Lesson.of(tries.all[0].to_json()),)).meet("rules", WANTED)
    assert first.learned > 1.1


def test_plans_most_alike_teach_most() -> None:
    near, far = plan(5.1).decided, plan(5.0, "unstructured").decided
    lessons = [Lesson(schemes=near, off=1.2), Lesson(schemes=far, off=0.8)]
    assert distance(plan(5.0), near) < 0.05 and distance(plan(5.0), far) == 1
    assert distance(plan(5.0), plan(5.0).decided) == 0 and distance(plan(5.0), {}) == 1
    assert learned(plan(5.0), lessons) == pytest.approx(1.2, rel=0.01)
    assert learned(plan(5.0), []) == 1.0
