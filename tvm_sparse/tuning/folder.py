"""A database's folder: MetaSchedule's two JSON files, and where they come from.

::

    logs/x86/
        database_workload.json        one task a line
        database_tuning_record.json   one measurement a line: [line of its task, record]
        provenance.json               machine, versions, date
        lock                          held while somebody writes
"""

from __future__ import annotations

import fcntl
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from tvm.s_tir.meta_schedule.database import JSONDatabase

from tvm_sparse.errors import DatabaseError
from tvm_sparse.targets import Target
from tvm_sparse.tuning import provenance

WORKLOADS = "database_workload.json"
RECORDS = "database_tuning_record.json"


@contextmanager
def writing(path: Path, target: Target) -> Iterator[JSONDatabase]:
    """Open a folder to add records, made when missing; one process at a time.

    Lines that a power cut left unfinished are dropped first.

    Raises
    ------
    DatabaseError
        If the folder cannot be written, another process writes into it, or its records come from
        another machine or version.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with alone(path, target):
            for name, content in _whole(path).items():
                if (path / name).exists() and (path / name).read_bytes() != content:
                    provenance.replace(path / name, content)
            provenance.write(path, target)
            yield JSONDatabase(work_dir=str(path))
    except OSError as error:
        raise DatabaseError(
            f"cannot write the database {path}: {error.strerror or error}: name another folder, "
            "or make room"
        ) from error


@contextmanager
def alone(path: Path, target: Target) -> Iterator[None]:
    """Keep other writers out of a folder, and records of other machines.

    Raises
    ------
    DatabaseError
        If another process writes into it, or its records come from another machine or version.
    """
    with (path / "lock").open("w") as lock:
        _take(lock, path)
        foreign = provenance.foreign(path, target)
        if foreign:
            raise DatabaseError(f"{path} holds records of {foreign}: name another folder")
        yield


def reading(path: Path) -> JSONDatabase:
    """Open a folder to use its records, without those that are not whole; nothing is written.

    Raises
    ------
    DatabaseError
        If it is no database.
    """
    if not all((path / name).is_file() for name in (WORKLOADS, RECORDS)):
        raise DatabaseError(
            f"{path} is no database: expected {WORKLOADS} and {RECORDS}, which "
            "`tvm-sparse tune` writes"
        )
    with tempfile.TemporaryDirectory() as copy:
        for name, content in _whole(path).items():
            (Path(copy) / name).write_bytes(content)
        return JSONDatabase(work_dir=copy)


def _whole(path: Path) -> dict[str, bytes]:
    """Return the files without broken lines; records need their task's line.

    Tasks are numbered by their lines, so that none counts after a broken one.
    """
    tasks = []
    for line in _lines(path / WORKLOADS):
        if not _parses(line, lambda parsed: len(parsed) == 2):
            break
        tasks.append(line)
    known: Callable[[Any], bool] = lambda parsed: parsed[0] < len(tasks)  # noqa: E731
    records = [line for line in _lines(path / RECORDS) if _parses(line, known)]
    return {WORKLOADS: b"".join(tasks), RECORDS: b"".join(records)}


def _lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True) if file.exists() else []


def _parses(line: bytes, good: Callable[[Any], bool]) -> bool:
    try:
        return line.endswith(b"\n") and good(json.loads(line))
    except (ValueError, TypeError, IndexError):
        return False


def _take(lock: TextIO, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DatabaseError(
            f"another process tunes into {path}: wait for it, or name another folder"
        ) from error
