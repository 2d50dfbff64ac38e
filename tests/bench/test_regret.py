from __future__ import annotations

import json

import numpy as np
import pytest

from support import tuning
from tvm_sparse.bench import regret_table
from tvm_sparse.bench.integer_regret import measure_integer_regret
from tvm_sparse.bench.regret import RegretRow, measure_regret
from tvm_sparse.bench.timing import Times
from tvm_sparse.errors import FormatError


def row(chosen: str, **ms: float) -> RegretRow:
    times = {name: Times(rounds=(value / 1e3,)) for name, value in ms.items()}
    return RegretRow(
        case="64→64",
        set="bert",
        scheme="block-4x1",
        zeros=0.8,
        threads=1,
        chosen=chosen,
        predicted={name: 0.001 for name in ms},
        times=times,
    )


def test_regret_is_the_time_beyond_that_of_the_best() -> None:
    found = row("block", dense=4.0, block=1.5, unstructured=1.0)
    assert found.best == "unstructured"
    assert found.regret == pytest.approx(0.5)
    assert row("block", dense=4.0, block=1.5).regret == 0


def test_the_table_tells_mean_and_worst_and_begins_with_the_worst_row() -> None:
    rows = [row("dense", dense=2.0, block=2.0), row("dense", dense=3.0, block=2.0)]
    text = regret_table.markdown(rows)
    assert "- all: 2 choices, mean regret 25.0%, worst 50.0%, 1 of them the fastest" in text
    lines = [line for line in text.splitlines() if line.startswith("| 64→64")]
    assert [line.split("|")[-2].strip() for line in lines] == ["50.0%", "0.0%"]
    content = json.loads(json.dumps(regret_table.to_json(rows)))
    assert (content["mean"], content["worst"]) == (pytest.approx(0.25), pytest.approx(0.5))
    assert content["rows"][1]["best"] == "block"


def test_every_candidate_is_measured_and_the_chosen_one_is_among_them() -> None:
    said: list[str] = []
    rows = list(
        measure_regret(
            "bert", [0.5, 0.9], ["block-4x1"], threads=1, rounds=1, limit=1, progress=said.append
        )
    )
    assert [text.split(" cases")[0] for text in said] == ["1 of 2", "2 of 2"]
    for found in rows:
        assert found.chosen in found.times
        assert found.regret >= 0
        assert {"dense", "unstructured", "block-4x1"} <= set(found.times)
        assert set(found.predicted) == set(found.times)
    assert [found.zeros for found in rows] == [pytest.approx(0.5), pytest.approx(0.9)]


def test_formats_that_store_the_same_blocks_are_measured_once() -> None:
    (found,) = measure_regret("bert", [0.9], ["block-8x1"], threads=1, rounds=1, limit=1)
    assert "block-8x1" in found.times
    assert "block_punched-8x1" not in found.times
    assert np.all([times.median > 0 for times in found.times.values()])


def test_integer_kernels_are_measured_for_every_size_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tvm_sparse.bench.layers.layer_set", lambda name: {tuning.POINTWISE: 1})
    (found,) = measure_integer_regret("small", [0.9], ["block_punched-8x4"], 1, rounds=1)
    sizes = {f"block_punched-{filters}x4" for filters in (16, 8, 4)}
    assert (
        set(found.times) == set(found.predicted) == sizes | {"dense, 8 filters", "dense, 4 filters"}
    )
    assert found.chosen in sizes
    assert found.regret >= 0


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(FormatError, match="unknown format"):
        list(measure_regret("bert", [0.9], ["spiral-4x1"], threads=1, limit=1))
