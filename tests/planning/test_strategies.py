from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from support.plans import LAYER, option, problem
from tvm_sparse.errors import PlanError
from tvm_sparse.planning import ddpg, strategies
from tvm_sparse.planning.problem import Problem, Selection, Slot
from tvm_sparse.planning.strategies import Task


def slot(*forms: tuple[str, float], structured: float = 1.0, kernel: int = 3) -> Slot:
    """Return a layer of 10 seconds with formats at density 0.2 of some seconds, and at 0.1."""
    options = [option("dense@1.0", 10.0, 0.0)]
    options += [option(f"{form}@0.2", seconds, 1.0) for form, seconds in forms]
    options += [option(f"{form}@0.1", seconds / 2, 2.0) for form, seconds in forms]
    layer = replace(LAYER, weight=(32, 32, kernel, kernel))
    shares = {0.2: structured, 0.1: structured / 2}
    return Slot(names=(f"layer{kernel}",), layer=layer, options=tuple(options), structured=shares)


def chosen(network: Problem, limit: float, difficulty: str = "easy") -> list[str]:
    task = Task(problem=network, limit=limit, difficulty=difficulty)  # type: ignore[arg-type]
    found = strategies.get("rules")(task)
    return [one.scheme.format + str(one.scheme.block) for one in network.options(found)]


BLOCKS = (("unstructured", 4.0), ("block_punched-4x1", 2.3), ("block_punched-8x4", 2.0))


def test_the_rules_take_the_smallest_block_that_is_nearly_as_fast_as_structure() -> None:
    network = Problem(slots=(slot(*BLOCKS, structured=2.0),))
    assert chosen(network, 2.5) == ["block_punched(4, 1)"]
    assert chosen(Problem(slots=(slot(*BLOCKS, structured=3.5),)), 4.0) == ["unstructured()"]
    assert chosen(Problem(slots=(slot(*BLOCKS, structured=1.0),)), 2.5) == ["block_punched(8, 4)"]


def test_the_rules_prune_kernels_of_hard_tasks_by_patterns_and_leave_depthwise_ones() -> None:
    forms = (*BLOCKS, ("pattern-4x8", 3.0))
    deep = replace(slot(), layer=replace(LAYER, weight=(32, 1, 3, 3), groups=32))
    network = Problem(slots=(slot(*forms), slot(*forms, kernel=1), deep))
    assert chosen(network, 16.0, "hard") == ["pattern(4, 8)", "block_punched(8, 4)", "dense()"]
    assert chosen(network, 16.0)[0] == "block_punched(8, 4)"


def test_the_rules_prune_no_more_than_they_must() -> None:
    network = Problem(slots=(slot(("one_by_n-4", 2.0)), slot(("one_by_n-4", 4.0), kernel=1)))
    task = Task(problem=network, limit=4.5)
    found = strategies.get("rules")(task)
    assert [one.scheme.density for one in network.options(found)] == [0.2, 0.1]
    with pytest.raises(PlanError, match=r"the rules reach 6\.67x at most"):
        strategies.get("rules")(replace(task, limit=2.0))


def test_one_scheme_for_all_is_as_dense_as_the_limit_allows() -> None:
    network = Problem(slots=(slot(*BLOCKS), slot(("unstructured", 2.0), kernel=1)))
    found = strategies.get("uniform")(Task(problem=network, limit=7.0))
    assert [str(one.scheme) for one in network.options(found)] == ["unstructured@0.2/32"] * 2
    with pytest.raises(PlanError, match="no single scheme for all"):
        strategies.get("uniform")(Task(problem=network, limit=1.0))


def test_the_search_finds_what_the_sum_of_errors_does_not_know() -> None:
    network = problem([[(10.0, 0.0), (5.0, 1.0), (1.0, 2.0)]] * 6, rest=5.0)

    def score(found: Selection) -> float:
        return sum((1 + 9 * (place == 2)) * at**2 for place, at in enumerate(found))

    task = Task(problem=network, limit=40.0, score=score, trials=150)
    exact = strategies.get("dp")(task)
    found = strategies.get("search")(task)
    assert task.fits(found) and score(found) <= score(exact)
    assert found[2] == 0
    assert strategies.get("search")(replace(task, score=None)) == exact
    assert strategies.get("search")(task) == found  # same seed


def test_the_controller_learns_which_format_a_layer_needs() -> None:
    forms = (("one_by_n-4", 2.0), ("unstructured", 2.2), ("block_punched-8x4", 2.0))
    network = Problem(slots=(slot(*forms),) * 6)

    def score(found: Selection) -> float:
        formats = [one.scheme.format for one in network.options(found)]
        return 0.1 + sum(name != "unstructured" for name in formats)

    task = Task(problem=network, limit=20.0, score=score, trials=100)
    found = strategies.get("reinforce")(task)
    assert task.fits(found) and score(found) <= 1.2
    assert strategies.get("reinforce")(task) == found


def test_an_actor_keeps_to_the_limit_and_is_no_worse_than_no_search() -> None:
    network = problem([[(10.0, 0.0), (7.0, 0.5), (5.0, 1.0), (1.0, 2.0)]] * 5, rest=5.0)

    def score(found: Selection) -> float:
        return sum((1 + 30 * (place == 3)) * at for place, at in enumerate(found)) / 10

    task = Task(problem=network, limit=30.0, score=score, trials=20)
    found = strategies.get("ddpg")(task)
    assert task.fits(found) and score(found) <= score(strategies.get("dp")(task))
    for action in (0.0, 0.5, 1.0):
        walked, states, actions = ddpg.walk(task, lambda state, action=action: action)  # type: ignore[misc]
        assert task.fits(walked) and len(states) == len(actions) + 1 == 6


def test_a_policy_of_the_graph_is_where_another_network_begins(tmp_path: Path) -> None:
    options = [(10.0, 0.0), (7.0, 0.5), (5.0, 1.0), (1.0, 2.0)]
    first, second = (problem([options] * number, rest=5.0) for number in (4, 6))
    path, told = tmp_path / "policy.pt", list[str]()
    task = Task(problem=first, limit=30.0, score=lambda c: float(sum(c)), trials=6, policy=path)
    assert task.fits(strategies.get("agmc")(task)) and path.is_file()
    before = path.read_bytes()
    links = tuple((place, place + 1) for place in range(5))
    other = replace(task, problem=replace(second, links=links), limit=40.0)
    other = replace(other, tell=lambda stage, done, total: told.append(stage))
    found = strategies.get("agmc")(other)
    assert other.fits(found) and sum(found) <= sum(strategies.get("dp")(other))
    assert path.read_bytes() != before and len(told) == 7
    path.write_bytes(b"")
    with pytest.raises(PlanError, match="expected a file that the strategy agmc wrote"):
        strategies.get("agmc")(other)


def test_the_search_is_no_worse_than_rules_or_one_scheme() -> None:
    network = Problem(slots=(slot(*BLOCKS), slot(*BLOCKS, kernel=1)))
    rules = strategies.get("rules")(Task(problem=network, limit=6.0))
    task = Task(problem=network, limit=6.0, score=lambda c: float(c != rules), trials=3)
    assert strategies.get("search")(task) == rules


def test_unknown_strategies_are_refused_with_the_known_ones() -> None:
    assert strategies.names()[0] == "search"
    with pytest.raises(PlanError, match="one of search, dp, rules, reinforce, ddpg, agmc, uniform"):
        strategies.get("luck")
