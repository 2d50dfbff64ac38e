"""Write a file aside, then put it in its place: whoever looks finds the old one or the new one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_aside(path: Path, suffix: str = "") -> Iterator[Path]:
    """Yield an empty file in the path's folder, which is renamed to the path at the end.

    Parameters
    ----------
    path : Path
    suffix : str
        How the file's name ends until it is renamed.

    Raises
    ------
    OSError
        If the folder cannot be written, or is full; nothing is left behind then.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=suffix, dir=path.parent)
    file = Path(name)
    try:
        os.close(handle)
        yield file
        _to_disk(file)
        file.chmod(0o644)
        file.replace(path)
    finally:
        file.unlink(missing_ok=True)


def replace(path: Path, content: bytes) -> None:
    """Write a file aside, then put it in place; errors as `written_aside`."""
    with written_aside(path) as file:
        file.write_bytes(content)


def _to_disk(file: Path) -> None:
    """Wait until the disk has a file: else a power cut may keep its new name and lose its text."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
