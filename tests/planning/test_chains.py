from __future__ import annotations

from collections import OrderedDict
from copy import deepcopy

import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support.tables import formula_table
from tvm_sparse.planning import chains
from tvm_sparse.planning.plan import Plan
from tvm_sparse.planning.planner import Planner
from tvm_sparse.profiling.network import estimate

X = torch.randn(1, 8, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    """An inverted residual between a stem and a head."""
    torch.manual_seed(0)
    layers = {
        "stem": nn.Conv2d(8, 16, 1),
        "expand": nn.Conv2d(16, 96, 1),
        "bend": nn.ReLU6(),
        "deep": nn.Conv2d(96, 96, 3, padding=1, groups=96),
        "again": nn.ReLU6(),
        "project": nn.Conv2d(96, 16, 1),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flat": nn.Flatten(),
        "head": nn.Linear(16, 10),
    }
    return nn.Sequential(OrderedDict(layers)).eval()


@pytest.fixture(scope="module")
def planner(model: nn.Module) -> Planner:
    return Planner(
        model=model,
        table=formula_table(),
        example_inputs=(X,),
        schemes=["channel", "one_by_n-4"],
        densities=[0.5, 0.25],
    )


@pytest.fixture(scope="module")
def plan(planner: Planner) -> Plan:
    return planner.plan(f"{planner.reach * 0.999:.6f}x", "dp")


def test_a_chain_is_one_decision(planner: Planner) -> None:
    slots = planner.problem.slots
    assert [slot.names for slot in slots] == [("stem",), ("expand", "deep", "project"), ("head",)]
    assert planner.problem.links == ((0, 1), (1, 2))
    seconds = {str(one.scheme).removesuffix("/32"): one.seconds for one in slots[1].options}
    assert seconds["channel@0.25"] < seconds["channel@0.5"] < seconds["dense@1.0"]
    assert seconds["channel@0.25"] < seconds["one_by_n-4@0.25"]  # the depthwise layer stays


def test_whole_channels_are_removed_from_the_last_layer_alone(plan: Plan) -> None:
    assert [str(plan.layers[name].scheme.format) for name in plan.layers] == [
        *("dense", "dense", "dense", "channel", "dense")
    ]


def test_a_chain_takes_the_time_of_its_smaller_layers(model: nn.Module, plan: Plan) -> None:
    pruned = ts.prune(deepcopy(model), plan)
    found = estimate(pruned, formula_table(), example_inputs=(X,))
    assert plan.seconds == pytest.approx(found.seconds, rel=0.05)


def test_other_formats_prune_both_ends(planner: Planner) -> None:
    slot = planner.problem.slots[1]
    option = next(one for one in slot.options if one.scheme.format == "one_by_n")
    assert slot.pruned(option.scheme) == ("expand", "project")


def test_chains_that_share_a_layer_are_not_joined() -> None:
    known = dict.fromkeys("abcde", True) | {"e": False}
    found = chains.disjoint([("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")], known)
    assert found == (("a", "b"), ("c", "d"))
