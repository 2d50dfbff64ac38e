from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tvm_sparse import targets
from tvm_sparse.errors import DatabaseError
from tvm_sparse.latency import DENSE, Cell, Epilogue
from tvm_sparse.profiling import file
from tvm_sparse.scheme import Scheme
from tvm_sparse.tuning import provenance

TARGET = replace(targets.load("x86"), cores=1)
CELL = Cell(
    key="conv2d-8x8x1x1",
    scheme=Scheme.parse("one_by_n-4@0.2"),
    epilogue=Epilogue(1, 3),
    seconds=1.25e-5,
    spread=0.02,
    runs=4,
    kernel="4 filters × 6 vectors",
    terms={"formula": 1e-5, "taps": 4.5},
)
CELLS = [CELL, replace(CELL, scheme=DENSE), replace(CELL, key="softmax 4x4 4x4", terms={})]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with file.writing(tmp_path / "logs", TARGET) as writer:
        writer.add(CELLS[:2])
        writer.add(CELLS[2:])
    return tmp_path / "logs"


def test_cells_come_back_as_they_were_written(path: Path) -> None:
    assert file.cells(path) == CELLS
    assert [cell.terms for cell in file.cells(path)] == [cell.terms for cell in CELLS]
    assert file.origin(path)["target"] == "x86"


def test_a_line_that_a_power_cut_broke_is_dropped_and_what_follows_is_whole(path: Path) -> None:
    content = (path / file.CELLS).read_bytes()
    (path / file.CELLS).write_bytes(content[:-30])
    assert file.cells(path) == CELLS[:2]
    assert (path / file.CELLS).read_bytes() == content[:-30]
    with file.writing(path, TARGET) as writer:
        writer.add(CELLS[2:])
    assert (path / file.CELLS).read_bytes() == content


def test_cells_of_another_machine_are_not_mixed_with_ours(path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"holds records of cores 1: name another folder"):
        with file.writing(path, replace(TARGET, cores=3)):
            pass


def test_kernels_that_were_timed_alone_are_not_mixed_with_others(tmp_path: Path) -> None:
    here = provenance.here(TARGET)
    for origin in ({**here, "kernels": "in place"}, here):  # a database of tuning says nothing
        with file.writing(tmp_path, TARGET, origin):
            pass
    assert file.origin(tmp_path)["kernels"] == "in place"
    with pytest.raises(DatabaseError, match=r"of kernels in place, these are of kernels alone"):
        with file.writing(tmp_path, TARGET, {**here, "kernels": "alone"}):
            pass


def test_a_folder_without_cells_is_no_latency_table(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"is no latency table: expected latencies.jsonl"):
        file.cells(tmp_path)
    with pytest.raises(DatabaseError, match=r"lacks provenance.json; .*profile again"):
        file.origin(tmp_path)
