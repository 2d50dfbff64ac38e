from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tvm_sparse.errors import PlanError
from tvm_sparse.planning.plan import Plan, Planned
from tvm_sparse.scheme import Scheme


def planned(scheme: str, seconds: float) -> Planned:
    return Planned(
        scheme=Scheme.parse(scheme),
        seconds=seconds,
        dense_seconds=4e-3,
        error=0.25,
        nbytes=1000,
        measured=True,
    )


PLAN = Plan(
    layers={"stem": planned("dense@1.0", 4e-3), "conv": planned("one_by_n-4@0.2", 1e-3)},
    seconds=6e-3,
    dense_seconds=9e-3,
    nbytes=2000,
    error=0.5,
    reach=2.5,
    search_seconds=0.1,
    budget="1.5x",
    strategy="dp",
    target="x86",
)


def test_a_plan_is_a_mapping_of_the_layers_that_are_pruned() -> None:
    assert dict(PLAN) == {"conv": Scheme.parse("one_by_n-4@0.2")}
    assert len(PLAN) == 1 and "stem" not in PLAN
    assert PLAN.speedup == pytest.approx(1.5)


def test_a_plan_comes_back_from_its_file(tmp_path: Path) -> None:
    assert Plan.read(PLAN.save(tmp_path / "plan.json")) == PLAN


def test_people_read_the_reach_first_and_the_sum_last() -> None:
    first, *layers, last = str(PLAN).splitlines()
    assert first == "largest speed-up within reach: 2.50x"
    assert "one_by_n-4@0.2 " in layers[1] and "4.00x" in layers[1]
    assert last.startswith("dp, 1.5x: predicted 6 ms, 1.50x of dense; error 0.5")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "no plan of version 1"),
        ({"layers": []}, r"expected a table 'layers', got \[\]"),
        ({"seconds": "fast"}, "expected a number of at least 0 as 'seconds', got 'fast'"),
        ({"layers": {"conv": {"scheme": "magic@0.5"}}}, "layer 'conv': unknown format"),
        ({"layers": {"conv": 3}}, "layer 'conv': expected a table with a scheme, got 3"),
    ],
)
def test_damaged_plans_are_refused_with_what_is_wrong(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    content = {**json.loads(PLAN.to_json()), **change}
    (tmp_path / "plan.json").write_text(json.dumps(content))
    with pytest.raises(PlanError, match=message):
        Plan.read(tmp_path / "plan.json")


def test_files_that_are_missing_or_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot read the plan"):
        Plan.read(tmp_path / "plan.json")
    with pytest.raises(PlanError, match="`tvm-sparse plan` writes one"):
        Plan.from_json("{")
    with pytest.raises(PlanError, match="cannot write the plan"):
        PLAN.save(tmp_path / "no folder" / "plan.json")
