"""Plans choose 32, 16, 8 or 4 bits for each layer of a network with linear layers."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

import tvm_sparse as ts
from support.tables import formula_table
from tvm_sparse import nibbles, sixteen
from tvm_sparse.errors import FormatError
from tvm_sparse.planning import rounding
from tvm_sparse.planning.calibration import Stitched
from tvm_sparse.planning.plan import Plan
from tvm_sparse.planning.planner import Planner
from tvm_sparse.scheme import Scheme

X = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """The feed-forward half of a transformer's layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(64)
        self.up, self.down = nn.Linear(64, 128), nn.Linear(128, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = x + self.down(torch.relu(self.up(self.norm(x))))
        return found


class Net(nn.Module):
    """Patches of an image, two blocks, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 64, 4, 4)
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.stem(x).flatten(2).mT)
        found: torch.Tensor = self.head(x.mean(1))
        return found


BITS = (32, 16, 8, 4)
LINEAR = [f"blocks.{i}.{name}" for i in (0, 1) for name in ("up", "down")]


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner(
        model=Net().eval(),
        table=formula_table(),
        example_inputs=(X[:1],),
        schemes=["one_by_n-16"],
        densities=[0.25],
        bits=BITS,
        calibration=X,
    )


def test_linear_layers_are_offered_four_bits_and_convolutions_sixteen(planner: Planner) -> None:
    offered = {
        slot.names[0]: {o.scheme.bits for o in slot.options} for slot in planner.latencies.slots
    }
    every = set(BITS)
    assert offered == {"stem": every - {4}} | {name: every for name in [*LINEAR, "head"]}
    up = planner.latencies.slots[1]
    assert {str(o.scheme) for o in up.options} == {
        f"{scheme}/{bits}" for scheme in ("dense@1.0", "one_by_n-16@0.25") for bits in BITS
    }


def test_fewer_bits_are_smaller_and_less_exact(planner: Planner) -> None:
    for slot in planner.problem.slots[1:5]:
        found = [next(o for o in slot.options if str(o.scheme) == f"dense@1.0/{bits}")
                 for bits in BITS]  # fmt: skip
        nbytes, errors = [o.nbytes for o in found], [o.error for o in found]
        assert nbytes == sorted(nbytes, reverse=True) and errors == sorted(errors)
        assert 0 == errors[0] < errors[1] < 1e-5 < errors[2] < 1e-3 < errors[3] < 0.01


def test_a_budget_of_bytes_is_kept_by_what_is_built(planner: Planner) -> None:
    dense = planner.latencies.total(planner.latencies.dense, "nbytes")
    plan = planner.plan(f"{dense / 6:.0f}B", "dp")
    assert {plan.layers[name].scheme.bits for name in LINEAR} == {4} and plan.error < 0.03
    assert plan.layers["stem"].scheme.bits in (8, 16) and Plan.from_json(plan.to_json()) == plan
    mixed = ts.quantize(ts.prune(deepcopy(planner.model), plan), [x[None] for x in X], plan)
    compiled = ts.build(mixed)
    built = {row.name: row.bits for row in compiled.report}
    assert built == {name: one.scheme.bits for name, one in plan.layers.items()}
    assert compiled.report.nbytes == pytest.approx(plan.nbytes, rel=0.05)
    with torch.inference_mode():
        y, expected = torch.cat([compiled(x[None]) for x in X]), planner.model(X)
    error = float((y - expected).square().sum() / expected.square().sum())
    assert 0 < error < plan.error


def test_a_time_takes_no_bits_that_cost_time(planner: Planner) -> None:
    plan = planner.plan("1.5x", "dp")
    times = {
        (name, option.scheme): option.seconds
        for slot in planner.problem.slots
        for option in slot.options
        for name in slot.names
    }
    assert plan.speedup >= 1.5
    for name, one in plan.layers.items():
        assert one.seconds == times[name, one.scheme] <= one.dense_seconds


def test_the_stitched_network_has_the_weights_that_are_built() -> None:
    model = Net().eval()
    stitched = Stitched(model, X)
    schemes = {"blocks.0.up": "dense@1.0/4", "stem": "dense@1.0/16"}
    stitched._prune({name: Scheme.parse(text) for name, text in schemes.items()})
    rounded = ts.quantize(model, bits={"blocks.0.up": 4, "stem": 16}, example_inputs=(X,))
    with torch.inference_mode():
        y = stitched._model(X)
    torch.testing.assert_close(ts.build(rounded)(X), y, rtol=1e-4, atol=1e-4)


def test_weights_of_four_and_sixteen_bits_are_rounded_as_they_are_stored() -> None:
    weight = np.random.default_rng(0).standard_normal((5, 130)).astype(np.float32)
    np.testing.assert_array_equal(rounding.rounded(weight, 4), nibbles.integers(weight, 64).dense())
    np.testing.assert_array_equal(rounding.rounded(weight, 16), sixteen.rounded(weight, "bfloat16"))


def test_bits_that_no_layer_can_have_are_refused(planner: Planner) -> None:
    with pytest.raises(FormatError, match="expected some of 32, 16, 8, 4 as bits of layers, got"):
        ts.plan(planner.model, formula_table(), bits=(32, 5), example_inputs=(X,))
