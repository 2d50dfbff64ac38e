"""Layers may be int8: what that costs, what it saves, and what plans make of it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from support.plans import option, problem
from support.tables import formula_table
from tvm_sparse.planning import activations, rounding, uniform
from tvm_sparse.planning.calibration import Stitched, output_errors
from tvm_sparse.planning.plan import Plan
from tvm_sparse.planning.planner import Planner
from tvm_sparse.planning.problem import Slot
from tvm_sparse.scheme import Scheme

X = torch.randn(8, 8, 12, 12, generator=torch.Generator().manual_seed(0))
BYTES = Scheme.parse("dense@1.0/8")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(8, 32, 1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1, groups=32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 144, 10),
    ).eval()


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner(
        model=network(),
        table=formula_table(),
        example_inputs=(X[:1],),
        schemes=["block_punched-4x4"],
        densities=[0.5, 0.2],
        bits=(32, 8),
        calibration=(X, torch.arange(8) % 10),
    )


def test_all_layers_but_depthwise_ones_are_offered_in_bytes(planner: Planner) -> None:
    slots = {
        slot.names[0]: [str(o.scheme) for o in slot.options] for slot in planner.latencies.slots
    }
    ends = ["dense@1.0/32", "dense@1.0/8"]
    assert slots["0"] == slots["9"] == ends and slots["2"] == ends[:1]
    pruned = [f"block_punched-4x4@{d}/{bits}" for bits in (32, 8) for d in (0.5, 0.2)]
    assert slots["4"] == slots["6"] == ends + pruned


def test_bytes_are_faster_smaller_and_less_exact(planner: Planner) -> None:
    for slot in planner.problem.slots[2:4]:
        options = {str(one.scheme): one for one in slot.options}
        for name in ("dense@1.0", "block_punched-4x4@0.5"):
            real, rounded = options[f"{name}/32"], options[f"{name}/8"]
            assert rounded.seconds < real.seconds and rounded.nbytes < real.nbytes
            assert real.error < rounded.error < real.error + 0.01


def test_a_plan_takes_bytes_where_they_pay_and_keeps_them_in_its_file(planner: Planner) -> None:
    plan = planner.plan("2x", "dp")
    assert plan.speedup >= 2 and plan.bits == 8 and plan.error < 0.01
    bits = {name: one.scheme.bits for name, one in plan.layers.items()}
    assert bits["2"] == 32 and 8 in (bits["4"], bits["6"])
    assert Plan.from_json(plan.to_json()) == plan and "dense@1.0/8 " in str(plan)
    assert {name: scheme.bits for name, scheme in plan.decided.items()} == {
        name: one for name, one in bits.items() if one == 8 or name in plan
    }


def test_the_accuracy_that_must_stay_is_that_of_the_rounded_network(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[int]] = []

    def accuracy(schemes: dict[str, Scheme]) -> float:
        asked.append({scheme.bits for scheme in schemes.values()})
        return 0.5 if 8 in asked[-1] else 1.0

    monkeypatch.setattr(planner.stitched, "accuracy", accuracy)
    assert planner.plan("90%", "dp").bits == 32
    assert {8} in asked or {8, 32} in asked


def test_without_bits_a_plan_is_of_floats_and_old_files_are_read() -> None:
    text = (
        '{"version": 1, "seconds": 1, "dense_seconds": 1, "nbytes": 0, "error": 0, "reach": 1, '
        '"search_seconds": 0, "layers": {"fc": {"scheme": "dense@1.0/32", "seconds": 1, '
        '"dense_seconds": 1, "error": 0, "nbytes": 0}}}'
    )
    assert Plan.from_json(text).bits == 32


def test_uniform_plans_have_one_number_of_bits() -> None:
    (slot,) = problem([[(4, 0.0), (2, 0.1)]]).slots
    more = Slot(
        names=slot.names,
        layer=slot.layer,
        options=(*slot.options, option("one_by_n-4@0.5/8", 1, 0.2)),
    )
    both = problem([[(4, 0.0)]])
    both = type(both)(slots=(more,))
    assert uniform.everywhere(both, ("one_by_n", (4,), 8), 0.5) == (2,)
    assert uniform.everywhere(both, ("one_by_n", (4,), 32), 0.5) == (1,)


def test_the_error_of_bytes_is_about_that_of_a_layer_with_rounded_weights_and_inputs() -> None:
    model = network()
    found = output_errors(model, X, ["4"])("4", BYTES)
    stitched, answers = Stitched(model, X), list[torch.Tensor]()
    layer = stitched._model.get_submodule("4")
    hook = layer.register_forward_hook(lambda m, x, y: answers.append(y))
    for schemes in ({}, {"4": BYTES}):
        stitched._prune(schemes)
        stitched._answer()
    hook.remove()
    bias = model.get_parameter("4.bias").detach().reshape(-1, 1, 1)
    dense, off = answers[0] - bias, answers[1] - answers[0]
    expected = float(off.square().sum() / dense.square().sum())
    assert 0 < expected < 1e-3 and found == pytest.approx(expected, rel=0.3)
    assert stitched.loss({}) == 0 < stitched.loss({"4": BYTES}) < 1e-3


def test_inputs_are_rounded_only_while_a_layer_is_of_bytes() -> None:
    model, schemes = network(), dict[str, Scheme]()
    expected = model(X)
    changed = copy.deepcopy(model)
    activations.round_inputs(changed, activations.ranges(model, X), schemes)
    assert torch.equal(changed(X), expected)
    schemes["6"] = BYTES
    assert not torch.equal(changed(X), expected)
    assert torch.allclose(changed(X), expected, atol=0.05 * float(expected.detach().abs().max()))


def test_rounded_weights_are_multiples_of_a_filters_step() -> None:
    weight = np.random.default_rng(0).standard_normal((3, 4, 2, 2)).astype(np.float32)
    weight[1] = 0
    found = rounding.changed(weight, Scheme.parse("unstructured@0.5/8"))
    kept = rounding.kept(weight, Scheme.parse("unstructured@0.5"))
    assert (found[~kept] == 0).all() and (found[1] == 0).all()
    steps = found[0] * 127 / np.abs(found[0]).max()
    assert np.allclose(steps, np.rint(steps), atol=1e-3)
    assert np.abs(found - weight * kept).max() <= np.abs(weight).max() / 254 * 1.001
