from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from tvm_sparse.cli import app
from tvm_sparse.errors import ConfigError, PlanError
from tvm_sparse.planning.budget import Budget
from tvm_sparse.workflow import comparison, comparison_table
from tvm_sparse.workflow.comparison import Comparison, PlanRow, compare


def row(seed: int, strategy: str = "search", **found: Any) -> PlanRow:
    usual = {
        "accuracy": 0.99,
        "accuracies": {0: 0.5, 3: 0.98},
        "speedup": 2.5,
        "dense": 1e-3,
        "sparse": 4e-4,
        "predicted": 4.2e-4,
        "by_table": 4.6e-4,
        "uncorrected": 0.9,
        "tries": 2,
    }
    about = {"network": "resnet8", "budget": "2.5x", "seed": seed, "strategy": strategy}
    return PlanRow(**{**usual, **about, **found})


def test_a_line_tells_the_mean_over_seeds_and_its_difference_to_dense() -> None:
    rows = [row(0), row(1, accuracies={0: 0.7, 3: 0.99}), row(0, "rules", reason="too slow")]
    lines = comparison_table.markdown(rows).splitlines()
    assert "| resnet8, 2.5x, search | 2 | 2.50× | 0.400 | +5.0% | 99.00% |" in lines[2]
    assert "60.00% (-39.00 ±10.00)" in lines[2] and "98.50% (-0.50 ±0.50)" in lines[2]
    assert "0 of 1 | too slow" in lines[3]


def test_the_summary_counts_plans_that_met_their_budget_and_were_predicted() -> None:
    rows = [row(0), row(1, speedup=2.0, uncorrected=0.0), row(2, predicted=5e-4)]
    text = comparison_table.markdown(rows)
    assert "2 of 3 plans have the wanted speed within 5%; of the first tries 0 of 2" in text
    found = "2 of 3 networks are predicted within 10%; without what was measured of others before"
    assert f"{found}, 0." in text
    assert json.loads(json.dumps(comparison_table.to_json(rows)))["rows"][1]["speedup"] == 2.0


class Planned:
    """Stands in for a plan all the way: what was asked for is what was met."""

    started: ClassVar[list[Budget | None]] = []
    taught: ClassVar[list[int]] = []

    def __init__(
        self, shared: Any, strategy: str, budget: str, start: Budget | None, lessons: Any
    ) -> None:
        self.shared, self.strategy, self.budget, self.start = shared, strategy, budget, start
        self.started.append(start)
        self.taught.append(len(lessons))
        self.plan = SimpleNamespace(error=1.0)
        self.pruned, self.fine_tuned = {"accuracy": 0.5}, {"accuracy": 0.9}
        names = ("speedup", "dense", "sparse", "spread", "predicted", "by_table")
        self.verified = dict.fromkeys(names, 2.0)

    @property
    def planned(self) -> dict[str, Any]:
        if self.strategy == "rules":
            raise PlanError("the rules reach 2x at most")
        tried = {"share": 0.9, "off": 1.1, "schemes": {"conv": "one_by_n-4@0.2"}}
        return {"asked": 2.7, "tried": [tried]}


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def shared(wanted: Comparison, network: str, seed: int, tell: Any) -> Any:
        return SimpleNamespace(config=wanted.config(network, seed), trained={"accuracy": 0.95})

    monkeypatch.setattr(comparison, "_shared", shared)
    monkeypatch.setattr(comparison, "Variant", Planned)
    monkeypatch.setattr(Planned, "started", [])
    monkeypatch.setattr(Planned, "taught", [])


@pytest.mark.usefixtures("stand_in")
def test_a_correction_that_worked_serves_the_next_seed() -> None:
    wanted = Comparison(folder=Path("x"), strategies=("search",), budgets=("2.5x",), epochs=(0, 2))
    rows = list(compare(wanted, ["resnet8"], range(2), lambda *_: None))
    assert Planned.started == [None, Budget(kind="speedup", value=2.7)]
    assert Planned.taught == [0, 1]
    assert [one.uncorrected for one in rows] == [0.9, 0.0]
    assert rows[0].accuracies == {0: 0.5, 2: 0.9}


@pytest.mark.usefixtures("stand_in")
def test_a_budget_out_of_reach_is_a_row_too() -> None:
    options = ["--networks", "resnet8", "--seeds", "1", "--epochs", "0,2", "--json"]
    found = CliRunner().invoke(app, ["bench", "plans", "x", *options])
    assert found.exit_code == 0, found.output
    rows = json.loads(found.stdout)["rows"]
    assert [(one["budget"], one["strategy"]) for one in rows][:3] == [
        ("2.5x", name) for name in ("uniform", "rules", "search")
    ]
    assert rows[1]["reason"] == "the rules reach 2x at most" and not rows[0]["reason"]


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown network 'vgg'; expected one of resnet8"):
        Comparison(folder=Path("x")).config("vgg", 0)
