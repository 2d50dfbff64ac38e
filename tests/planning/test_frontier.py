from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from support.plans import LAYER, problem
from tvm_sparse.errors import PlanError
from tvm_sparse.planning.budget import Budget
from tvm_sparse.planning.frontier import dynamic_programming, frontier
from tvm_sparse.planning.problem import Option, Problem, Resource, Slot
from tvm_sparse.scheme import Scheme

NUMBERS = some.integers(1, 40).map(float)
LAYERS = some.lists(
    some.lists(some.tuples(NUMBERS, NUMBERS), min_size=1, max_size=4), min_size=1, max_size=4
)


def exhaustive(given: Problem, limit: float) -> float:
    """Return the least error of all selections within a limit."""
    every = product(*(range(len(slot.options)) for slot in given.slots))
    return min(given.error(c) for c in every if given.total(c, "seconds") <= limit * (1 + 1e-9))


@settings(max_examples=60, deadline=None)
@given(LAYERS, some.floats(0, 1))
def test_dynamic_programming_finds_the_best_of_all_selections(
    layers: list[list[tuple[float, float]]], share: float
) -> None:
    network = problem(layers, rest=3.0)
    least, most = network.least("seconds"), 3.0 + sum(max(s for s, _ in one) for one in layers)
    limit = least + share * (most - least)
    chosen = dynamic_programming(network, limit)
    assert network.total(chosen, "seconds") <= limit * (1 + 1e-9)
    assert network.error(chosen) == pytest.approx(exhaustive(network, limit))


def test_few_buckets_are_within_two_percent_of_the_best() -> None:
    rng = np.random.default_rng(0)
    density = np.geomspace(1, 0.02, 7)
    layers = [
        [(w * (0.1 + d), s * (1 - d) ** 2) for d in density]
        for w, s in zip(rng.uniform(1, 5, 4), rng.uniform(0.1, 3, 4), strict=True)
    ]
    network = problem(layers)
    for share in (0.3, 0.5, 0.8):
        limit = share * network.total(network.dense, "seconds")
        chosen = dynamic_programming(network, limit, buckets=200)
        assert network.total(chosen, "seconds") <= limit * (1 + 1e-9)
        assert network.error(chosen) <= 1.02 * exhaustive(network, limit)


def _joint(rng: np.random.Generator) -> Problem:
    """Return layers that are pruned and rounded at once: densities times 32, 16, 8 and 4 bits."""
    slots = []
    for number in range(4):
        weights, loss, noise = rng.integers(1_000, 80_000), rng.uniform(0.1, 3), rng.uniform(0.5, 2)
        options = [
            Option(
                scheme=Scheme(format="dense" if d == 1 else "unstructured", density=d, bits=bits),
                seconds=weights * (0.1 + d) * {32: 1.0, 16: 0.9, 8: 0.5, 4: 1.3}[bits],
                error=loss * (1 - d) ** 2 + noise * {32: 0.0, 16: 1e-6, 8: 1e-4, 4: 6e-3}[bits],
                nbytes=round(weights * d * bits / 8),
            )
            for d, bits in product((1.0, 0.6, 0.4, 0.2, 0.1), (32, 16, 8, 4))
        ]
        slots.append(Slot(names=(f"layer{number}",), layer=LAYER, options=tuple(options)))
    return Problem(slots=tuple(slots))


@pytest.mark.parametrize("resource", ["seconds", "nbytes"])
def test_bits_and_densities_together_are_within_two_percent_of_the_best(resource: Resource) -> None:
    network = _joint(np.random.default_rng(0))
    every = np.array(list(product(*(range(len(slot.options)) for slot in network.slots))))
    columns = list(zip(network.slots, every.T, strict=True))
    costs = np.sum([slot.of(resource)[at] for slot, at in columns], axis=0)
    errors = np.sum([slot.errors[at] for slot, at in columns], axis=0)
    taken: set[int] = set()
    for share in (0.05, 0.1, 0.2, 0.5, 0.9):
        limit = network.least(resource) + share * float(np.ptp(costs))
        best = errors[costs <= limit * (1 + 1e-9)].min()
        exact = dynamic_programming(network, limit, resource)
        assert network.error(exact) == pytest.approx(best)
        few = dynamic_programming(network, limit, resource, buckets=30)
        assert network.total(few, resource) <= limit * (1 + 1e-9)
        assert network.error(few) <= 1.02 * best
        taken |= {option.scheme.bits for option in network.options(exact)}
    assert taken == ({32, 16, 8} if resource == "seconds" else {32, 16, 8, 4})


def test_a_frontier_rises_in_cost_and_falls_in_error() -> None:
    rng = np.random.default_rng(0)
    costs, errors = rng.random((2, 12, 9))
    found = frontier(list(costs), list(errors), buckets=200)
    assert len(found.costs) <= 202
    assert (np.diff(found.costs) > 0).all() and (np.diff(found.errors) < 0).all()
    for state in range(0, len(found.costs), 20):
        chosen = found.at(state)
        assert sum(costs[i][at] for i, at in enumerate(chosen)) == pytest.approx(found.costs[state])
        assert sum(errors[i][at] for i, at in enumerate(chosen)) == pytest.approx(
            found.errors[state]
        )


@pytest.mark.parametrize(
    ("text", "limit"), [("2x", 6.0), ("4000 ms", 4.0), ("120B", 120.0), ("5s", 5.0)]
)
def test_budgets_become_limits(text: str, limit: float) -> None:
    network = problem([[(10.0, 0.0), (1.0, 1.0)]], rest=2.0)
    found = Budget.parse(text)
    assert found.limit(network) == pytest.approx(limit)
    assert Budget.parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5x", r"budget of 5x is out of reach: at most 4\.00x, 3000 ms instead of"),
        ("10B", "the smallest plan takes 100 bytes, dense weights 1000"),
        ("fast", "expected a speed-up"),
        ("0x", "cannot read the budget '0x'"),
        ("97%", "limits no time by itself"),
    ],
)
def test_budgets_out_of_reach_say_what_is_possible(text: str, message: str) -> None:
    network = problem([[(10.0, 0.0), (1.0, 1.0)]], rest=2.0)
    with pytest.raises(PlanError, match=message):
        Budget.parse(text).limit(network)
