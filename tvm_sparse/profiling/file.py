"""A latency table's folder: one cell a line, and where they come from.

::

    logs/x86/
        latencies.jsonl     {"key": …, "scheme": …, "epilogue": […], "seconds": …, …}
        provenance.json     machine, versions, date, and how kernels were timed: in place, alone
        lock                held while somebody writes
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tvm_sparse import aside
from tvm_sparse.errors import DatabaseError, FormatError
from tvm_sparse.latency import Cell, Epilogue
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.tuning import folder, provenance

CELLS = "latencies.jsonl"
KERNELS = "kernels"  # the entry of the provenance that says how they were timed


class Writer:
    """Appends cells to a table's file.

    Parameters
    ----------
    path : Path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self._file = path / CELLS

    def add(self, cells: list[Cell]) -> None:
        """Write cells down for good: they outlast a power cut once this returns."""
        with self._file.open("ab") as file:
            file.write(b"".join(_line(cell) for cell in cells))
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def writing(path: Path, target: Target, origin: provenance.About | None = None) -> Iterator[Writer]:
    """Open a folder to add cells, made when missing; one process at a time.

    Lines that a power cut left unfinished are dropped first.

    Parameters
    ----------
    path : Path
    target : Target
    origin : mapping of str to str, optional
        Where the cells come from; by default from this machine.

    Raises
    ------
    DatabaseError
        If the folder cannot be written, another process writes into it, or its cells come from
        another machine or version, or were measured in another way.
    """
    with folder.alone(path, target, origin), folder.telling(path):
        about = origin or provenance.here(target)
        _demand_kernels(path, about)
        file = path / CELLS
        whole = b"".join(line for line in _lines(file) if _cell(line) is not None)
        if not file.exists() or file.read_bytes() != whole:
            aside.replace(file, whole)
        provenance.renew(path, about)
        yield Writer(path)


def _demand_kernels(path: Path, about: provenance.About) -> None:
    """Raise if kernels were timed in another way: inside of networks, or alone."""
    held = (provenance.read(path) or {}).get(KERNELS)
    if held is not None and held != about.get(KERNELS, held):
        raise DatabaseError(
            f"{path} holds times of kernels {held}, these are of kernels {about[KERNELS]}: "
            "name another folder"
        )


def cells(path: Path) -> list[Cell]:
    """Return the cells of a folder, without those that are not whole; nothing is written.

    Raises
    ------
    DatabaseError
        If it is no latency table.
    """
    file = path / CELLS
    if not file.is_file():
        raise DatabaseError(
            f"{path} is no latency table: expected {CELLS}, which `tvm-sparse profile` writes"
        )
    return [cell for cell in map(_cell, _lines(file)) if cell is not None]


def origin(path: Path) -> provenance.About:
    """Return where a folder's cells come from.

    Raises
    ------
    DatabaseError
        If that cannot be read.
    """
    found = provenance.read(path)
    if found is None:
        raise DatabaseError(
            f"{path} lacks {provenance.FILE}; a table without it tells nothing: profile again"
        )
    return found


def _lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True) if file.exists() else []


def _line(cell: Cell) -> bytes:
    content = {
        "key": cell.key,
        "scheme": str(cell.scheme),
        "epilogue": list(cell.epilogue),
        "seconds": float(f"{cell.seconds:.6g}"),
        "spread": round(cell.spread, 4),
        "runs": cell.runs,
        "kernel": cell.kernel,
        "terms": {name: float(f"{value:.6g}") for name, value in cell.terms.items()},
    }
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"


def _cell(line: bytes) -> Cell | None:
    """Return the cell of a line; None if the line is not whole."""
    try:
        found = json.loads(line) if line.endswith(b"\n") else {}
        scheme, epilogue = Scheme.parse(found.pop("scheme")), Epilogue(*found.pop("epilogue"))
        return Cell(scheme=scheme, epilogue=epilogue, **found)
    except (ValueError, TypeError, KeyError, AttributeError, FormatError):
        return None
