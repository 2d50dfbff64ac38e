from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import tuning
from tvm_sparse.errors import DatabaseError
from tvm_sparse.tuning import folder, provenance, records

TASKS = tuning.task(), tuning.task(tuning.POINTWISE)
TARGET = TASKS[0].target


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with folder.writing(tmp_path / "logs", TARGET) as database:
        for task in TASKS:
            tuning.record(database, task, task.default, [1.0, 2.0])
    return tmp_path / "logs"


def known(path: Path) -> dict[str, int]:
    found = records.by_task(folder.reading(path))
    return {name: len(measured[0].times) for name, measured in found.items()}


def cut(file: Path, number: int) -> None:
    """Take a number of bytes from a file's end, as a power cut would."""
    file.write_bytes(file.read_bytes()[:-number])


def test_a_truncated_last_line_costs_that_record_alone(path: Path) -> None:
    cut(path / folder.RECORDS, 40)
    assert known(path) == {TASKS[0].identity: 2, TASKS[1].identity: 1}
    with folder.writing(path, TARGET) as database:
        tuning.record(database, TASKS[1], TASKS[1].default, [3.0])
    assert known(path) == {TASKS[0].identity: 2, TASKS[1].identity: 2}


def test_records_of_a_task_that_was_lost_go_with_it(path: Path) -> None:
    cut(path / folder.WORKLOADS, 40)
    assert known(path) == {TASKS[0].identity: 2}
    with folder.writing(path, TARGET) as database:
        tuning.record(database, TASKS[1], TASKS[1].default, [3.0])
    assert known(path) == {TASKS[0].identity: 2, TASKS[1].identity: 1}


def test_a_line_that_broke_in_the_middle_of_the_file_is_left_out(path: Path) -> None:
    lines = (path / folder.RECORDS).read_bytes().splitlines(keepends=True)
    (path / folder.RECORDS).write_bytes(lines[0] + lines[1][:30] + b"".join(lines[2:]))
    assert sum(known(path).values()) == 2


def test_reading_writes_nothing(path: Path) -> None:
    cut(path / folder.RECORDS, 40)
    before = (path / folder.RECORDS).read_bytes()
    known(path)
    assert (path / folder.RECORDS).read_bytes() == before


def test_two_writers_exclude_each_other(path: Path) -> None:
    with folder.writing(path, TARGET):
        with pytest.raises(DatabaseError, match=r"another process tunes into .*: wait for it"):
            with folder.writing(path, TARGET):
                pass


def test_records_of_another_machine_are_not_mixed_with_ours(path: Path) -> None:
    file = path / "provenance.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "cpu": "Z80", "tvm": "0.1"}))
    assert provenance.foreign(path, TARGET) == "cpu Z80, tvm 0.1"
    with pytest.raises(DatabaseError, match=r"records of cpu Z80, tvm 0.1: name another folder"):
        with folder.writing(path, TARGET):
            pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match=r"cannot write the database .*: name another folder"):
        with folder.writing(tmp_path / "file" / "logs", TARGET):
            pass


def test_a_folder_without_records_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"is no database: expected database_workload.json"):
        folder.reading(tmp_path)
