from __future__ import annotations

from pathlib import Path

from tvm.s_tir.meta_schedule.database import JSONDatabase

from support import tuning
from tvm_sparse.tuning import records
from tvm_sparse.tuning.records import Measured
from tvm_sparse.tuning.task import Sample

DEFAULT, OTHER = (Sample(space="tiles", point={"registers": n}) for n in (402, 403))


def measured(sample: Sample, *times: float, failures: int = 0) -> Measured:
    return Measured(sample=sample, times=list(times), failures=failures)


def best(*known: Measured) -> Sample | None:
    found = records.best(records.ranked(known), DEFAULT)
    return None if found is None else found.sample


def test_what_is_faster_each_time_replaces_the_default() -> None:
    assert best(measured(DEFAULT, 2.0, 2.1), measured(OTHER, 1.0, 1.1)) == OTHER


def test_what_was_fast_once_does_not() -> None:
    assert best(measured(DEFAULT, 2.0, 2.1), measured(OTHER, 1.0)) is None


def test_what_is_hardly_faster_does_not() -> None:
    assert best(measured(DEFAULT, 2.0, 2.0), measured(OTHER, 1.98, 1.99)) is None


def test_what_failed_once_does_not() -> None:
    assert best(measured(DEFAULT, 2.0, 2.0), measured(OTHER, 1.0, 1.0, failures=1)) is None


def test_disturbed_measurements_of_the_default_are_no_gain() -> None:
    slow = measured(DEFAULT, 2.0, 2.0, 4.0, 4.0, 4.0)
    assert best(slow, measured(OTHER, 2.0, 2.1, 2.0)) is None


def test_records_are_read_back_by_task_with_the_fastest_first(tmp_path: Path) -> None:
    task, other = tuning.task(), tuning.task(tuning.POINTWISE)
    one, two = tuning.samples(task, 2)
    entries = [(task, one, [3.0, 3.5]), (other, other.default, [1e10]), (task, two, [2.0])]
    tuning.database(str(tmp_path), entries)
    known = records.by_task(JSONDatabase(work_dir=str(tmp_path)))
    assert [found.sample for found in known[task.identity]] == [two, one]
    assert [found.times for found in known[task.identity]] == [[2.0], [3.0, 3.5]]
    assert [found.failures for found in known[other.identity]] == [1]
