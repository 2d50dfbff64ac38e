"""The folder that workers share while a model is tuned, and what killed runs left of theirs.

A run holds the lock of its folder for as long as it lives, however it ends. So a folder whose lock
is free is nobody's, and the next run removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tvm_sparse.errors import DatabaseError

_PREFIX = "tvm_sparse-tune-"
_LOCK = "lock"


@contextmanager
def folder() -> Iterator[Path]:
    """Yield an empty folder among the temporary ones, which is removed at the end.

    Raises
    ------
    DatabaseError
        If there is no room for it.
    """
    place = Path(tempfile.gettempdir())
    _remove_abandoned(place)
    try:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    except OSError as error:
        raise DatabaseError(
            f"cannot make a folder in {place}: {error.strerror}: make room there, or let the "
            "variable TMPDIR name another place"
        ) from error
    try:
        with _held(path):
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a folder's lock; it is locked before it gets its name, so that nobody finds it free."""
    aside = path / f"{_LOCK}-"
    with aside.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        aside.rename(path / _LOCK)
        yield


def _remove_abandoned(place: Path) -> None:
    for path in place.glob(f"{_PREFIX}*"):
        try:
            if path.stat().st_uid != os.getuid():
                continue
            with (path / _LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
                if path.exists():  # a linker of the killed run still wrote: the next one tries
                    (path / _LOCK).touch()
        except OSError:  # it is in use, or gone
            continue
