"""Errors in a file, a line each, so that a search that was stopped goes on where it was.

::

    {"of": "3f2a…", "layer": "blocks.0.conv1", "scheme": "one_by_n-4@0.2/32", "error": 0.031}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from tvm_sparse.errors import PlanError

Key = tuple[str, str]


class Cache(MutableMapping[Key, float]):
    """Errors by layer and scheme, of one model on one calibration set.

    Parameters
    ----------
    path : Path, optional
        A file, made when missing; without it nothing outlasts the process.
    of : str
        Names the weights, the data and the kind of error: lines of others are left alone.

    Raises
    ------
    PlanError
        If the file cannot be read or written.
    """

    def __init__(self, path: Path | None, of: str) -> None:
        self._path, self._of = path, of
        self._errors: dict[Key, float] = {}
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            self._file = path.open("a", encoding="utf-8")
            if lines and not path.read_text(encoding="utf-8").endswith("\n"):
                self._file.write("\n")  # after a line that a power cut left unfinished
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"cannot keep sensitivities in {path}: {error}") from error
        self._errors.update(found for line in lines if (found := self._read(line)))

    def __getitem__(self, key: Key) -> float:
        """Return the error of a layer under a scheme."""
        return self._errors[key]

    def __setitem__(self, key: Key, error: float) -> None:
        """Keep an error; it is in the file when this returns."""
        self._errors[key] = error
        if self._path is not None:
            line = {"of": self._of, "layer": key[0], "scheme": key[1], "error": error}
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()

    def __delitem__(self, key: Key) -> None:
        """Errors are not forgotten."""
        raise PlanError(f"sensitivities cannot be taken back, e.g. not {key}")

    def __iter__(self) -> Iterator[Key]:
        """Name the layers and schemes."""
        return iter(self._errors)

    def __len__(self) -> int:
        """Return the number of errors."""
        return len(self._errors)

    def _read(self, line: str) -> tuple[Key, float] | None:
        """Return what a line says; None if it is not whole, or of something else."""
        try:
            found = json.loads(line)
            if found["of"] != self._of:
                return None
            return (str(found["layer"]), str(found["scheme"])), float(found["error"])
        except (ValueError, KeyError, TypeError):
            return None
