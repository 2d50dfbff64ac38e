from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support import tuning
from tvm_sparse.bench import ranking, ranking_table
from tvm_sparse.errors import DatabaseError
from tvm_sparse.tuning import folder

SECONDS = np.array([4.0, 1.0, 2.0, 8.0])


def test_scores_in_the_order_of_speed_rank_best() -> None:
    right, wrong = -SECONDS, SECONDS
    assert ranking.accuracy(right, SECONDS) == 1
    assert ranking.accuracy(wrong, SECONDS) == 0
    assert ranking.recall(right, SECONDS, top=2) == 1
    assert ranking.recall(wrong, SECONDS, top=2) == 0
    assert ranking.peak(right, SECONDS) == 1
    assert ranking.peak(wrong, SECONDS) == pytest.approx((1 / 8 + 1 / 4 + 1 / 2 + 1) / 4)
    assert ranking.trials_in_order(right, SECONDS) == 1
    assert ranking.trials_in_order(wrong, SECONDS) == 4


def test_one_close_sample_of_four_is_drawn_after_two_and_a_half_on_average() -> None:
    assert ranking.trials_at_random(SECONDS) == 2.5
    assert ranking.trials_at_random(np.ones(7)) == 1


def test_each_layer_is_held_out_in_turn(
    tmp_path: Path,
) -> None:
    tasks = [tuning.task(tuning.CONV), tuning.task(tuning.POINTWISE)]
    with folder.writing(tmp_path, tasks[0].target) as database:
        for task in tasks:
            for sample in tuning.samples(task, 30):
                kernel = task.kernel(sample)
                assert kernel is not None
                tuning.record(database, task, sample, [2 * kernel.seconds])
    rows = list(ranking.measure_ranking(tmp_path, tasks[0].target))
    assert {row.layer for row in rows} == {task.layer.key for task in tasks}
    for row in rows:
        assert row.by_formula == 1 == row.trials["formula"]
        assert 1 <= row.trials["warm"] <= row.samples
        assert 0.5 < row.peak <= 1
    content = json.loads(json.dumps(ranking_table.to_json(rows)))
    assert content["rows"][0]["trials"]["formula"] == 1
    assert "2 layers held out" in ranking_table.markdown(rows)


def test_a_database_of_one_layer_is_refused(tmp_path: Path) -> None:
    task = tuning.task()
    with folder.writing(tmp_path, task.target) as database:
        for sample in tuning.samples(task, 20):
            tuning.record(database, task, sample, [1.0])
    with pytest.raises(DatabaseError, match="has 1 layers of 16 samples or more, expected at le"):
        list(ranking.measure_ranking(tmp_path, task.target))
