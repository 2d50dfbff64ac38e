from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import tvm_sparse as ts
from support.tables import formula_table
from tvm_sparse.cli import app
from tvm_sparse.errors import ModelError, PlanError
from tvm_sparse.latency import LatencyTable
from tvm_sparse.planning.cache import Cache
from tvm_sparse.planning.planner import Planner
from tvm_sparse.planning.sensitivity import with_errors
from tvm_sparse.profiling.network import estimate
from tvm_sparse.scheme import Scheme

X = torch.randn(1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
FORMS = ["one_by_n-4", "unstructured"]
DENSITIES = [0.5, 0.3, 0.2, 0.1]


class Net(nn.Module):
    """Two prunable layers behind a stem, one of which matters little, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(8, 32, 1)
        self.deep = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.first = nn.Conv2d(32, 64, 3, padding=1)
        self.second = nn.Conv2d(64, 64, 3, padding=1)
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.deep(torch.relu(self.stem(x))))
        x = torch.relu(self.second(torch.relu(self.first(x))))
        found: torch.Tensor = self.head(x.mean((2, 3)))
        return found


@pytest.fixture(scope="module")
def model() -> Net:
    return Net().eval()


@pytest.fixture(scope="module")
def planner(model: Net) -> Planner:
    return Planner(
        model=model,
        table=formula_table(),
        example_inputs=(X,),
        schemes=FORMS,
        densities=DENSITIES,
        calibration=(torch.randn(16, 8, 16, 16), torch.arange(16) % 10),
    )


def test_first_last_and_depthwise_layers_stay_dense(planner: Planner) -> None:
    slots = {slot.names[0]: slot for slot in planner.latencies.slots}
    assert list(slots) == ["stem", "deep", "first", "second", "head"]
    numbers = {name: len(slot.options) for name, slot in slots.items()}
    assert numbers == {"stem": 1, "deep": 1, "first": 9, "second": 9, "head": 1}
    assert planner.latencies.links == ((0, 1), (1, 2), (2, 3), (3, 4))
    assert 1 < planner.reach < 10


def test_denser_options_take_longer_and_have_smaller_errors(planner: Planner) -> None:
    for slot in planner.problem.slots:
        for form in FORMS:
            mine = [o for o in slot.options if str(o.scheme).startswith(f"{form}@")]
            seconds, errors = [o.seconds for o in mine], [o.error for o in mine]
            assert seconds == sorted(seconds, reverse=True)
            assert errors == sorted(errors) and all(0 < error < 1 for error in errors)


@pytest.mark.parametrize("strategy", ["search", "dp", "rules", "uniform"])
def test_a_plan_keeps_to_its_budget_and_prunes_what_it_says(
    strategy: str, planner: Planner, model: Net
) -> None:
    plan = planner.plan("1.5x", strategy, trials=10)
    assert plan.speedup >= 1.5 and plan.reach == pytest.approx(planner.reach)
    pruned = ts.prune(Net().eval(), plan)
    found = estimate(pruned, formula_table(), example_inputs=(X,))
    assert found.seconds == pytest.approx(plan.seconds, rel=0.05)
    for name, scheme in plan.items():
        weight = pruned.get_parameter(f"{name}.weight")
        assert float((weight != 0).float().mean()) == pytest.approx(scheme.density, abs=0.02)


def test_dynamic_programming_has_the_least_sum_of_errors(planner: Planner) -> None:
    plans = {name: planner.plan("1.6x", name) for name in ("dp", "rules", "uniform")}
    assert plans["dp"].error == min(plan.error for plan in plans.values())
    assert planner.front()[0][0] == pytest.approx(planner.problem.least("seconds"))


def test_a_plan_that_is_a_little_off_gets_other_densities_in_few_layers(planner: Planner) -> None:
    plan = planner.plan("1.5x", "uniform")
    assert planner.exchanged(plan, plan.seconds).decided == plan.decided
    wanted = [one.seconds for one in planner.plan("1.7x", "uniform").layers.values()]
    slower = planner.exchanged(planner.plan("1.7x", "uniform"), plan.seconds)
    assert abs(slower.seconds / plan.seconds - 1) < 0.1
    assert sum(a.seconds != b for a, b in zip(slower.layers.values(), wanted, strict=True)) <= 2
    assert {str(s).split("@")[0] for s in slower.values()} == {
        str(s).split("@")[0] for s in plan.values()
    }
    assert slower.strategy == "uniform" and slower.error > 0


def test_errors_are_those_of_the_method_that_will_prune(planner: Planner) -> None:
    fitted = replace(planner, method="least_squares")
    pairs = zip(fitted.problem.slots[2:4], planner.problem.slots[2:4], strict=True)
    for after, before in pairs:
        assert (after.errors[1:] < before.errors[1:]).all()
    plan = fitted.plan("1.6x", "search", trials=5)
    assert fitted.stitched is not None and planner.stitched is not None
    assert fitted.stitched.loss(plan.decided) < planner.stitched.loss(plan.decided)


def test_budgets_of_time_and_bytes_are_kept(planner: Planner) -> None:
    dense = planner.plan("1x", "dp")
    assert not dict(dense) and dense.error == 0
    half = planner.plan(f"{dense.nbytes / 2:.0f}B", "dp")
    assert dense.nbytes / 4 < half.nbytes <= dense.nbytes / 2
    timed = planner.plan(f"{dense.seconds / 1.5 * 1e3:.6f}ms", "dp")
    assert timed.speedup >= 1.5


def test_the_fastest_plan_that_keeps_an_accuracy(
    planner: Planner, model: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    stitched = planner.stitched
    assert stitched is not None
    inputs = stitched._inputs
    with torch.inference_mode():
        labels = model(inputs).argmax(1)
    monkeypatch.setattr(stitched, "_labels", labels)
    plan = planner.plan("90%", "dp")
    assert stitched.accuracy(plan) >= 0.9
    assert plan.budget == "90%" and plan.speedup > 1
    with pytest.raises(PlanError, match="below the 101% that must stay"):
        planner.plan("101%", "dp")


def test_plans_out_of_reach_are_refused_before_sensitivities_are_measured(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = replace(planner)
    fresh.__dict__["latencies"] = planner.latencies
    monkeypatch.setattr(Planner, "problem", None)
    with pytest.raises(PlanError, match=r"50x is out of reach: at most \d"):
        fresh.plan("50x")


def test_a_search_for_errors_that_was_stopped_goes_on_where_it_was(
    planner: Planner, tmp_path: Path
) -> None:
    asked: list[str] = []

    def error(name: str, scheme: Scheme) -> float:
        asked.append(f"{name} {scheme}")
        return scheme.density

    def stop(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    path = tmp_path / "errors.jsonl"
    with pytest.raises(KeyboardInterrupt):
        with_errors(planner.latencies, error, Cache(path, "model"), stop)
    assert len(path.read_text().splitlines()) == len(asked) == 3
    found = with_errors(planner.latencies, error, Cache(path, "model"))
    assert len(set(asked)) == len(asked) == 16
    for option in found.slots[2].options[1:]:
        assert option.error == pytest.approx(option.scheme.density)


def test_errors_may_be_those_of_the_networks_outputs(planner: Planner) -> None:
    stitched = planner.stitched
    assert stitched is not None
    scheme = Scheme.parse("one_by_n-4@0.2")
    assert stitched.error("first", scheme) == stitched.loss({"first": scheme}) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": "97%"}, r"needs labels: calibration=\(inputs, labels\)"),
        ({"errors": "loss"}, "need calibration data"),
        ({"errors": "luck"}, "expected outputs, loss or magnitude"),
        ({"strategy": "luck"}, "unknown strategy 'luck'"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    options: dict[str, str], message: str, model: Net
) -> None:
    with pytest.raises(PlanError, match=message):
        ts.plan(model, LatencyTable([]), **options)  # type: ignore[arg-type]


def test_a_model_without_prunable_layers_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)).eval()
    with pytest.raises(ModelError, match="nothing to plan"):
        ts.plan(model, formula_table(), example_inputs=(X,))


@pytest.fixture
def read_as_formula(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def opened(path: Path, target: object) -> LatencyTable:
        return formula_table()

    monkeypatch.setattr("tvm_sparse.planning.planner.read", opened)
    yield


def test_the_command_line_plans_by_the_weights(
    model: Net, tmp_path: Path, read_as_formula: None
) -> None:
    torch.export.save(torch.export.export(model, (X,)), tmp_path / "model.pt2")
    path = tmp_path / "plan.json"
    options = ["--table", "here", "--budget", "1.5x", "--formats", "one_by_n-4", "-o", str(path)]
    options += ["--bits", "32,16"]
    done = CliRunner().invoke(app, ["plan", str(tmp_path / "model.pt2"), *options])
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith("largest speed-up within reach: ")
    assert "dp, 1.5x: predicted" in done.stdout
    assert ts.Plan.read(path).speedup >= 1.5
    assert set(ts.Plan.read(path)) <= {"first", "second"}
    assert json.loads(path.read_text())["strategy"] == "dp"
    refused = CliRunner().invoke(app, ["plan", "model.pt2", "--table", "here", "--bits", "few"])
    assert refused.exit_code == 2 and "expected bits like 32,8,4, got 'few'" in refused.stderr
