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
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tvm.s_tir.meta_schedule.database import JSONDatabase

from tvm_sparse import aside
from tvm_sparse.errors import DatabaseError
from tvm_sparse.targets import Target
from tvm_sparse.tuning import provenance
from tvm_sparse.tuning.lines import RECORDS as RECORDS
from tvm_sparse.tuning.lines import WORKLOADS as WORKLOADS
from tvm_sparse.tuning.lines import Lines


@contextmanager
def writing(
    path: Path, target: Target, origin: provenance.About | None = None
) -> Iterator[JSONDatabase]:
    """Open a folder to add records, made when missing; one process at a time.

    Lines that a power cut or a full disk left unfinished are dropped, before and after.

    Parameters
    ----------
    path : Path
    target : Target
    origin : mapping of str to str, optional
        Where the records come from; by default from this machine.

    Raises
    ------
    DatabaseError
        If the folder cannot be written, another process writes into it, its records come from
        another machine or version, or some that were added did not reach the disk.
    """
    with alone(path, target, origin):
        with telling(path):
            repair(path)
            provenance.renew(path, origin or provenance.here(target))
            database = JSONDatabase(work_dir=str(path))
        try:
            yield database
            check(database)
        except ValueError as error:  # of TVM, when it cannot append
            if "Cannot open the file to write" not in str(error):
                raise
            raise DatabaseError(_told_lost(path, "some")) from error
        finally:
            with telling(path):
                repair(path)


@contextmanager
def alone(path: Path, target: Target, origin: provenance.About | None = None) -> Iterator[None]:
    """Keep other writers out of a folder, and records of other machines.

    Raises
    ------
    DatabaseError
        If another process writes into it, or its records come from another machine or version.
    """
    with locked(path):
        with telling(path):
            foreign = provenance.foreign(path, target, origin)
        if foreign:
            raise DatabaseError(f"{path} holds records of {foreign}: name another folder")
        yield


def reading(path: Path) -> JSONDatabase:
    """Open a folder to use its records, without those that are not whole; nothing is written.

    Raises
    ------
    DatabaseError
        If it is no database, or one that TVM cannot read.
    """
    demand(path)
    with telling(path, "read"), tempfile.TemporaryDirectory() as copy:
        for name, content in Lines.of(path).files.items():
            (Path(copy) / name).write_bytes(content)
        try:
            return JSONDatabase(work_dir=copy)
        except ValueError as error:
            reason = str(error).strip().splitlines()[0]
            raise DatabaseError(f"{path} cannot be read: {reason}; tune again") from error


def demand(path: Path) -> None:
    """Raise unless a folder is a database.

    Raises
    ------
    DatabaseError
        If it is none.
    """
    if not all((path / name).is_file() for name in (WORKLOADS, RECORDS)):
        raise DatabaseError(
            f"{path} is no database: expected {WORKLOADS} and {RECORDS}, which "
            "`tvm-sparse tune` writes"
        )


def check(database: JSONDatabase) -> None:
    """Raise if records that were added did not reach the disk.

    Raises
    ------
    DatabaseError
        If some did not.
    """
    number = lost(database)
    if number > 0:
        raise DatabaseError(_told_lost(_place(database), str(number)))


def lost(database: JSONDatabase) -> int:
    """Return how many records did not reach the disk: TVM does not notice when it is full."""
    return len(database) - len(Lines.of(_place(database)).records)


def repair(path: Path) -> None:
    """Drop lines that are not whole; at the end of a file that needs no room on the disk."""
    for name, content in Lines.of(path).files.items():
        file = path / name
        held = file.read_bytes() if file.exists() else content
        if held.startswith(content) and len(held) > len(content):
            os.truncate(file, len(content))
        elif held != content:
            aside.replace(file, content)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from writing into a folder, made when missing.

    Raises
    ------
    DatabaseError
        If it cannot be written, or another process writes into it.
    """
    with telling(path):
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / "lock").open("w")
    with lock:
        _take(lock, path)
        yield


def _take(lock: TextIO, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DatabaseError(
            f"another process tunes into {path}: wait for it, or name another folder"
        ) from error


@contextmanager
def telling(path: Path, verb: str = "write") -> Iterator[None]:
    """Turn errors of the operating system into ours.

    Raises
    ------
    DatabaseError
        If files cannot be written, or read.
    """
    try:
        yield
    except OSError as error:
        remedy = "name another folder, or make room" if verb == "write" else "mend that"
        raise DatabaseError(
            f"cannot {verb} the database {path}: {error.strerror or error}: {remedy}"
        ) from error


def _place(database: JSONDatabase) -> Path:
    return Path(database.path_tuning_record).parent


def _told_lost(path: Path, number: str) -> str:
    return (
        f"{number} of the measurements could not be written into {path}: its disk is full, or the "
        "folder is gone or read-only: mend that, then tune again; what was written is kept"
    )
