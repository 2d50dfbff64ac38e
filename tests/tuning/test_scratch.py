from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tvm_sparse.errors import DatabaseError
from tvm_sparse.tuning import failures, scratch


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_is_removed_at_the_end(place: Path) -> None:
    with scratch.folder() as path:
        (path / "library.so").write_text("")
        assert path.parent == place
    assert not [*place.iterdir()]


def test_what_a_killed_run_left_is_removed_by_the_next(place: Path) -> None:
    left = place / "tvm_sparse-tune-left"
    left.mkdir()
    (left / "lock").write_text("")
    (place / "tvm_sparse-tune-begun").mkdir()  # its run has not locked it yet
    with scratch.folder():
        assert not left.exists()
        assert (place / "tvm_sparse-tune-begun").exists()


def test_the_folder_of_a_run_that_lives_stays() -> None:
    with scratch.folder() as first, scratch.folder() as second:
        assert first.exists() and second.exists() and first != second


def test_a_place_without_room_is_named(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place / "missing"))
    with pytest.raises(DatabaseError, match=r"cannot make a folder in .*missing: .*TMPDIR"):
        with scratch.folder():
            pass


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("LocalRunner: Timeout, killed after 20.0 seconds\n", "took longer than 20 s"),
        ("LocalBuilder: An exception occurred\nSubprocess terminated", "crashed"),
        ("Traceback:\n  File x\nRuntimeError: _ArrayMemoryError: Unable", "ran out of memory"),
        ("Traceback:\n  File x\nValueError: wrong output: 2", "wrong output: 2"),
        ("", "unknown"),
    ],
)
def test_failures_are_told_in_a_few_words(message: str, reason: str) -> None:
    assert failures.reason(message) == reason
