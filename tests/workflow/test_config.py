from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tvm_sparse.errors import ConfigError, PlanError
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


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none\.toml"):
        read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[plan")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        read(tmp_path / "bad.toml")
