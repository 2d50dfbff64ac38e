from __future__ import annotations

from pathlib import Path

import pytest

from support import tuning
from tvm_sparse.errors import DatabaseError
from tvm_sparse.tuning import folder, records
from tvm_sparse.tuning.lines import RECORDS, WORKLOADS, Lines
from tvm_sparse.tuning.records import Measured

TASKS = tuning.task(), tuning.task(tuning.POINTWISE), tuning.task(tuning.MATRIX)

_Seen = dict[str, list[tuple[str, list[tuple[str, int]], list[float], list[float], int]]]


def seen(known: dict[str, list[Measured]]) -> _Seen:
    return {
        name: [
            (
                one.sample.space,
                sorted(one.sample.point.items()),
                one.times,
                one.compared,
                one.failures,
            )
            for one in measured
        ]
        for name, measured in known.items()
    }


def test_the_text_says_what_tvm_reads_from_it(tmp_path: Path) -> None:
    with folder.writing(tmp_path, TASKS[0].target) as database:
        for place, task in enumerate(TASKS):
            for number, sample in enumerate(tuning.samples(task, 4)):
                times = [[1e-5 * (number + place + 1)] * 5, [2e-5 / (number + 3)] * records.ROUNDS]
                tuning.record(database, task, sample, times)
            tuning.record(database, task, task.default, [1e10])
    assert seen(records.read(tmp_path)) == seen(records.by_task(folder.reading(tmp_path)))
    assert set(records.read(tmp_path)) == {task.identity for task in TASKS}


def test_tasks_of_others_are_left_out(tmp_path: Path) -> None:
    (tmp_path / WORKLOADS).write_text('["1","AAAAAAAAAAB7Im5vZGVzIjpbXX0="]\n')
    (tmp_path / RECORDS).write_text("[0,[[],[1],{},[]]]\n[1,[[],[1],{},[]]]\n")
    assert len(Lines.of(tmp_path).records) == 1
    assert records.read(tmp_path) == {}


def test_files_that_hold_something_else_are_told(tmp_path: Path) -> None:
    (tmp_path / WORKLOADS).write_text('["1","AAAA"]\n')
    (tmp_path / RECORDS).write_text("[0,[]]\n")
    with pytest.raises(DatabaseError, match=r"cannot read the database .*; tune again"):
        records.read(tmp_path)
