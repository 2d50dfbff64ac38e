"""Where float and int8 layers meet, tensors are converted: not at every int8 layer."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn

from support.plans import problem
from support.tables import Formula
from tvm_sparse import targets
from tvm_sparse.frontend import import_model
from tvm_sparse.latency import DENSE, Cell, Epilogue, LatencyTable
from tvm_sparse.planning import borders as rules
from tvm_sparse.planning import network, options
from tvm_sparse.planning.borders import Border
from tvm_sparse.planning.frontier import dynamic_programming, fastest
from tvm_sparse.profiling import integers
from tvm_sparse.profiling.lowered import lower
from tvm_sparse.profiling.network import prediction
from tvm_sparse.profiling.profile import simplified

NUMBERS = some.integers(1, 40).map(float)
LAYERS = some.lists(
    some.lists(some.tuples(NUMBERS, NUMBERS), min_size=1, max_size=4), min_size=4, max_size=4
)
PLACES = some.lists(some.integers(0, 3), min_size=1, max_size=3, unique=True).map(tuple)
BORDERS = some.lists(
    some.builds(
        Border,
        writers=PLACES | some.just(()),
        readers=PLACES,
        floats=some.booleans(),
        to_bytes=NUMBERS,
        to_floats=NUMBERS,
        activation=NUMBERS,
    ),
    min_size=1,
    max_size=4,
)
X = torch.zeros(1, 8, 8, 8)


def test_a_tensor_is_converted_where_its_writer_and_its_readers_differ() -> None:
    one = Border(writers=(0,), readers=(1, 2), to_bytes=1, to_floats=10, activation=100)
    costs = {bits: one.seconds(int(bits[::-1], 2)) for bits in ("000", "111", "011", "010")}
    assert costs == {"000": 0, "111": 0, "011": 1, "010": 11}
    assert (one.seconds(0b001), one.seconds(0b011)) == (100, 10)
    assert Border(writers=(), readers=(1,), to_bytes=1).seconds(0b11) == 1


@settings(max_examples=60, deadline=None)
@given(LAYERS, BORDERS, some.floats(0, 1))
def test_dynamic_programming_knows_what_meetings_cost(
    layers: list[list[tuple[float, float]]], borders: list[Border], share: float
) -> None:
    net = problem(layers, 3.0, borders)
    every = list(product(*(range(len(slot.options)) for slot in net.slots)))
    seconds = {chosen: net.total(chosen, "seconds") for chosen in every}
    least = min(seconds.values())
    assert net.least("seconds") == pytest.approx(least)
    assert net.total(fastest(net), "seconds") == pytest.approx(least)
    limit = least + share * (max(seconds.values()) - least)
    chosen = dynamic_programming(net, limit)
    assert seconds[chosen] <= limit * (1 + 1e-9)
    within = [net.error(one) for one in every if seconds[one] <= limit * (1 + 1e-9)]
    assert net.error(chosen) == pytest.approx(min(within))
    for chosen in every[:: max(1, len(every) // 8)]:
        alone = sum(cost[at] for cost, at in zip(net.alone("seconds"), chosen, strict=True))
        assert net.rest + alone >= seconds[chosen] - 1e-9
    assert net.scaled(2.0).total(chosen, "seconds") == pytest.approx(2 * seconds[chosen])


def test_few_sets_of_int8_layers_are_enough_for_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_MOST", 2)
    borders = [Border(writers=(0, 1, 2), readers=(3,), to_bytes=5, to_floats=3, activation=2)]
    net = problem([[(9.0, 0.0), (4.0, 1.0)]] * 4, 0.0, borders)
    for limit in (net.least("seconds"), 30.0):
        assert net.total(dynamic_programming(net, limit), "seconds") <= limit * (1 + 1e-9)


class Net(nn.Module):
    """A residual block, and a depthwise layer, which stays in float."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(8, 16, 1)
        self.first = nn.Conv2d(16, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.third = nn.Conv2d(16, 32, 1)
        self.deep = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(self.second(torch.relu(self.first(x))) + x)
        x = torch.relu(self.deep(torch.relu(self.third(x))))
        found: torch.Tensor = self.head(x.mean((2, 3)))
        return found


def test_plans_of_mixed_bits_cost_what_their_kernels_cost() -> None:
    target = targets.load("x86")
    known = {"key": "quantize 1x4x4x4 1x1x4x4", "scheme": DENSE, "epilogue": Epilogue(0, 0)}
    table = LatencyTable([Cell(seconds=64e-9, spread=0.0, runs=1, **known)])  # type: ignore[arg-type]
    table.predict = Formula(table, target)
    net = Net().eval()
    found = network.describe(net, table, target, (X,), (32, 8))
    plans = options.problem(found, table, {32: (), 8: ()}, [0.5])
    mod = simplified(import_model(net, (X,), None), target)
    names = [slot.names[0] for slot in plans.slots]
    assert names == ["stem", "first", "second", "third", "deep", "head"]
    for chosen in ((1, 1, 1, 1, 0, 1), (0, 1, 1, 0, 0, 0), (1, 0, 0, 1, 0, 0)):
        skip = [name for name, at in zip(names, chosen, strict=True) if not at]
        lowered = lower(integers.quantized(mod, skip), target, sparse=False)
        kernels = prediction(lowered, table).seconds
        assert plans.total(chosen, "seconds") == pytest.approx(kernels, rel=0.1)
