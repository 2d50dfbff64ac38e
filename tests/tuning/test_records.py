from __future__ import annotations

from pathlib import Path

from tvm.s_tir.meta_schedule.database import JSONDatabase

from support import tuning
from tvm_sparse.tuning import records
from tvm_sparse.tuning.records import Measured
from tvm_sparse.tuning.space import Sample

DEFAULT, OTHER = (Sample(space="tiles", point={"registers": n}) for n in (402, 403))


def compared(sample: Sample, *rounds: float, failures: int = 0) -> Measured:
    one = Measured(sample=sample, failures=failures)
    one.add((rounds * records.ROUNDS)[: records.ROUNDS])
    return one


def best(*known: Measured) -> Sample | None:
    found = records.best(records.ranked(known), DEFAULT)
    return None if found is None else found.sample


def test_what_is_faster_beside_the_default_replaces_it() -> None:
    assert best(compared(DEFAULT, 2.0), compared(OTHER, 1.0)) == OTHER


def test_what_was_fast_in_the_search_alone_does_not() -> None:
    assert best(compared(DEFAULT, 2.0), Measured(sample=OTHER, times=[1.0])) is None


def test_what_is_hardly_faster_does_not() -> None:
    assert best(compared(DEFAULT, 2.0), compared(OTHER, 1.98)) is None


def test_what_is_faster_in_half_of_the_rounds_does_not() -> None:
    assert best(compared(DEFAULT, 2.0), compared(OTHER, 1.0, 2.1)) is None


def test_what_failed_once_does_not() -> None:
    assert best(compared(DEFAULT, 2.0), compared(OTHER, 1.0, failures=1)) is None


def test_what_disturbs_a_round_is_no_difference() -> None:
    assert records.relative([1.0, 2.0, 4.0], beside=[2.0, 4.0, 8.0]) == [1.0, 1.0, 1.0]
    assert records.relative([3.0, 3.0], beside=[3.0, 6.0]) == [3.0, 1.5]


def test_records_are_read_back_by_task_with_the_fastest_first(tmp_path: Path) -> None:
    task, other = tuning.task(), tuning.task(tuning.POINTWISE)
    one, two = tuning.samples(task, 2)
    entries = [(task, one, [3.0, 3.5]), (other, other.default, [1e10]), (task, two, [2.0])]
    tuning.database(str(tmp_path), entries)
    known = records.by_task(JSONDatabase(work_dir=str(tmp_path)))
    assert [found.sample for found in known[task.identity]] == [two, one]
    assert [found.times for found in known[task.identity]] == [[2.0], [3.0, 3.5]]
    assert [found.failures for found in known[other.identity]] == [1]
