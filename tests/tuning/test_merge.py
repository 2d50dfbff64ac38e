from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import tuning
from tvm_sparse.errors import DatabaseError
from tvm_sparse.tuning import folder, records
from tvm_sparse.tuning.lines import RECORDS, WORKLOADS, Lines
from tvm_sparse.tuning.merge import merge
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.task import Task

FIRST, SHARED, LAST = (
    tuning.task(layer) for layer in (tuning.CONV, tuning.POINTWISE, tuning.MATRIX)
)
OTHER, FAILING = tuning.samples(SHARED, 3)[1:]
COMPARED = [2e-5] * records.ROUNDS
Entry = tuple[Task, Sample, list[float | list[float]]]


def written(path: Path, *entries: Entry) -> Path:
    with folder.writing(path, SHARED.target) as database:
        for entry in entries:
            tuning.record(database, *entry)
    return path


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Two databases that share a task and one of its measurements."""
    same: Entry = (SHARED, SHARED.default, [3.0, COMPARED])
    one: list[Entry] = [(FIRST, FIRST.default, [1.0]), same, (SHARED, FAILING, [COMPARED, 1e10])]
    two: list[Entry] = [
        same,
        (SHARED, OTHER, [2.0, [1e-5] * records.ROUNDS]),
        (LAST, LAST.default, [4.0]),
    ]
    return [written(tmp_path / "one", *one), written(tmp_path / "two", *two)]


def said(path: Path) -> str:
    """What the records of a folder say, as TVM reads them."""
    return str(sorted(records.by_task(folder.reading(path)).items()))


def content(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_tasks_and_records_of_two_databases_are_united(pair: list[Path], tmp_path: Path) -> None:
    before = [content(path) for path in pair]
    assert merge(pair, tmp_path / "all") == {"tasks": 3, "records": 8, "added": 8}
    assert [content(path) for path in pair] == before
    known = records.by_task(folder.reading(tmp_path / "all"))
    assert set(known) == {task.identity for task in (FIRST, SHARED, LAST)}
    default = next(one for one in known[SHARED.identity] if one.sample == SHARED.default)
    assert (default.times, len(default.compared)) == ([3.0], 1)
    assert len((tmp_path / "all" / WORKLOADS).read_bytes().splitlines()) == 3


def test_their_order_makes_no_difference(pair: list[Path], tmp_path: Path) -> None:
    merge(pair, tmp_path / "all")
    merge(pair[::-1], tmp_path / "reversed")
    assert said(tmp_path / "all") == said(tmp_path / "reversed")
    merge([pair[0]], pair[1])
    assert said(pair[1]) == said(tmp_path / "all")


def test_merging_again_changes_nothing(pair: list[Path], tmp_path: Path) -> None:
    merge(pair, tmp_path / "all")
    before = content(tmp_path / "all")
    assert merge([*pair, tmp_path / "all"], tmp_path / "all")["added"] == 0
    assert content(tmp_path / "all") == before


def test_a_source_may_be_added_to(pair: list[Path]) -> None:
    before = (pair[0] / RECORDS).read_bytes()
    assert merge(pair, pair[0]) == {"tasks": 3, "records": 8, "added": 3}
    assert (pair[0] / RECORDS).read_bytes().startswith(before)


def test_patterns_with_the_same_counts_are_one_task(tmp_path: Path) -> None:
    variants = [tuning.task(scheme="one_by_n-4@0.2"), tuning.task(scheme="one_by_n-4@0.21")]
    assert variants[0].identity == variants[1].identity
    assert variants[0].spaces[0].work.taps != variants[1].spaces[0].work.taps
    paths = [
        written(tmp_path / str(number), (task, task.default, [1.0 + number]))
        for number, task in enumerate(variants)
    ]
    assert merge(paths, tmp_path / "all") == {"tasks": 1, "records": 2, "added": 2}
    assert len(Lines.of(tmp_path / "all").tasks) == 1


def test_a_compact_database_decides_the_same(pair: list[Path], tmp_path: Path) -> None:
    merge(pair, tmp_path / "all")
    counts = merge(pair, tmp_path / "compact", compact=True)
    assert counts == {"tasks": 1, "records": 4, "added": 4}
    found = [
        records.best(records.read(tmp_path / name)[SHARED.identity], SHARED.default)
        for name in ("all", "compact")
    ]
    assert found[0] is not None and found[1] is not None
    assert found[0].sample == found[1].sample == OTHER
    assert found[0].seconds == found[1].seconds


def test_what_was_cut_off_is_left_out(pair: list[Path], tmp_path: Path) -> None:
    file = pair[1] / RECORDS
    file.write_bytes(file.read_bytes()[:-40])
    assert merge(pair, tmp_path / "all")["records"] == 7


def test_another_machine_or_version_is_refused_and_named(pair: list[Path], tmp_path: Path) -> None:
    file = pair[1] / "provenance.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "cpu": "Z80", "cores": "64"}))
    with pytest.raises(
        DatabaseError, match=r"two holds records of cpu Z80, cores 64, .*one of cpu"
    ):
        merge(pair, tmp_path / "all")
    assert not (tmp_path / "all").exists()
    file.unlink()
    with pytest.raises(DatabaseError, match=r"two does not tell where its records come from"):
        merge(pair, tmp_path / "all")


def test_a_folder_that_is_no_database_is_no_source(pair: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"nothing is no database"):
        merge([*pair, tmp_path / "nothing"], tmp_path / "all")


def test_nothing_is_merged_into_what_is_being_written(pair: list[Path]) -> None:
    with folder.writing(pair[1], SHARED.target):
        with pytest.raises(DatabaseError, match=r"another process tunes into"):
            merge(pair[:1], pair[1])


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_a_merge_that_is_killed_leaves_whole_files(
    stop: int, pair: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tvm_sparse import aside

    done: list[Path] = []
    before = records.read(pair[0])
    usual = aside.replace

    def failing(path: Path, text: bytes) -> None:
        if len(done) == stop:
            raise KeyboardInterrupt
        done.append(path)
        usual(path, text)

    monkeypatch.setattr(aside, "replace", failing)
    with pytest.raises(KeyboardInterrupt):
        merge(pair, pair[0])
    assert records.read(pair[0]) == before
    monkeypatch.setattr(aside, "replace", usual)
    assert merge(pair, pair[0])["records"] == 8
