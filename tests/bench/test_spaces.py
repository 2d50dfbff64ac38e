from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any

import pytest

from support import tuning
from tvm_sparse.bench import spaces_table
from tvm_sparse.tuning.places.place import Outcome
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.survey import Survey, survey
from tvm_sparse.tuning.task import Task


def row(space: str, valid: int, **errors: int) -> Survey:
    return Survey(
        layers=("a",), space=space, drawn=10, fitting=5, tried=4, valid=valid, errors=errors
    )


class Broken(AbstractContextManager["Broken"]):
    """A bench on which every kernel of one row is wrong."""

    def __init__(self, *args: Any) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass

    def measure(self, groups: list[list[tuple[Task, Sample]]]) -> list[list[Outcome]]:
        wrong = "Traceback\nValueError: wrong output"
        return [
            [Outcome(error=wrong if one.point.get("chunk") == 1 else None) for _, one in group]
            for group in groups
        ]


def test_samples_that_fail_are_counted_by_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvm_sparse.tuning.survey.Bench", Broken)
    tasks = [tuning.task(tuning.DEPTHWISE, tuning.DENSE), tuning.task()]
    depthwise, *tiles = survey(tasks, 20)
    assert (depthwise.space, depthwise.tried) == ("channels dense", 20)
    assert 0 < depthwise.valid < 20
    assert depthwise.errors == {"ValueError: wrong output": 20 - depthwise.valid}
    assert depthwise.drawn >= depthwise.fitting >= depthwise.tried
    assert [one.space for one in tiles] == [space.name for space in tasks[1].spaces]
    assert all(one.valid == one.tried for one in tiles)


def test_the_table_tells_shares_by_families_and_what_went_wrong() -> None:
    rows = [row("tiles one_by_n-4", 4), row("tiles dense", 3, boom=1), row("tiles block-8x1", 4)]
    lines = spaces_table.markdown(rows).splitlines()
    assert "| tiles | 2 | 20 | 50% | 8 | 100.0% |" in lines
    assert "| tiles, dense | 1 | 10 | 50% | 4 | 75.0% |" in lines
    assert "| all | 3 | 30 | 50% | 12 | 91.7% |" in lines
    assert "- 1 × boom" in lines
    assert json.loads(json.dumps(spaces_table.to_json(rows)))["valid"] == 11 / 12
