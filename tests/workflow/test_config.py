from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tvm_sparse.errors import ConfigError, PlanError
from tvm_sparse.workflow.checks import check, offered
from tvm_sparse.workflow.config import Config, parse, read


def test_an_empty_file_is_a_run(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("")
    assert read(tmp_path / "run.toml") == Config()
    assert Config().fine_tune.distill > 0 == Config().train.distill


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        'seed = 3\n[plan]\nbudget = "3x"\n[fine_tune]\nepochs = 2\n'
        '[compare]\nplans = ["uniform 3x", "search 3x"]\n'
    )
    found = read(tmp_path / "run.toml")
    assert (found.seed, found.plan.budget, found.fine_tune.epochs) == (3, "3x", 2)
    assert found.fine_tune.rate == Config().fine_tune.rate
    assert found.variants == [("search", "3x"), ("uniform", "3x")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"plann": {}}, "no 'plann'; expected folder, seed, .* did you mean 'plan'"),
        ({"plan": {"budgets": "2x"}}, "plan: no 'budgets'; .* did you mean 'budget'"),
        ({"train": {"epochs": "many"}}, "train, epochs: expected a whole number of at least 0"),
        ({"train": {"epochs": True}}, "expected a whole number of at least 0, got True"),
        ({"train": {"rate": -1}}, "train, rate: expected a number of at least 0, got -1"),
        ({"plan": 3}, "plan: expected a table, got 3"),
        ({"profile": {"formats": "block"}}, "profile, formats: expected a list, got 'block'"),
        ({"plan": {"correct": 1}}, "plan, correct: expected true or false, got 1"),
    ],
)
def test_mistakes_name_their_place(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(content)


def test_unknown_strategies_and_budgets_are_found_before_anything_runs() -> None:
    with pytest.raises(PlanError, match="unknown strategy 'luck'"):
        parse({"compare": {"plans": ["luck 2x"]}})
    with pytest.raises(PlanError, match="cannot read the budget 'fast'"):
        parse({"plan": {"budget": "fast"}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"prune": {"method": "exact_obd"}}, "prune, method: expected one of .* mean 'exact_obs'"),
        ({"plan": {"bits": [32, 7]}}, "plan, bits: expected one of 32, 16, 8, 4, got 7"),
        ({"plan": {"bits": []}}, "plan, bits: expected one of 32, 16, 8, 4"),
        ({"quantize": {"method": "mean"}}, "quantize, method: expected one of minmax, percentile"),
        ({"plan": {"formats": ["blok-4x4"]}}, "plan, formats: .* a format is written e.g. one_by"),
        ({"train": {"batch": 0}}, "train, batch: expected at least 1, got 0"),
        (
            {"prune": {"method": "patterns"}, "plan": {"formats": ["one_by_n-4"]}},
            "method patterns makes zeros of format pattern: name such a format",
        ),
    ],
)
def test_values_that_mean_nothing_are_found_before_anything_runs(
    content: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check(parse(content), "run.toml")


def test_a_plan_is_offered_what_the_pruning_method_makes() -> None:
    assert offered(parse({})) == ()
    named = {"formats": ["one_by_n-4", "pattern-4x8"]}
    assert offered(parse({"plan": named})) == ("one_by_n-4", "pattern-4x8")
    assert offered(parse({"plan": named, "prune": {"method": "patterns"}})) == ("pattern-4x8",)


def test_the_quickstart_is_a_run() -> None:
    found = read(Path(__file__).parents[2] / "scripts" / "digits.toml")
    check(found, "digits.toml")
    assert found.folder == ".cache/digits" and found.variants == [("search", "2.5x")]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none\.toml"):
        read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[plan")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        read(tmp_path / "bad.toml")
