"""A run's folder: what each stage found, so that a run that was stopped goes on from there.

::

    runs/digits/
        train.json              {"of": "…", "accuracy": 0.994, "curve": […]}
        dense.pt
        latencies/              a latency table
        search-2.5x/            one plan
            plan.json  prune.json  model.pt  sparse.so  …
        report.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvm_sparse import aside
from tvm_sparse.errors import ConfigError

Result = dict[str, Any]


@dataclass(frozen=True)
class Folder:
    """Results of stages in a folder.

    Parameters
    ----------
    path : Path
        Made when missing.

    Raises
    ------
    ConfigError
        If it cannot be made.
    """

    path: Path

    def __post_init__(self) -> None:
        """Make the folder."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make the folder {self.path}: {error}") from error

    def known(self, stage: str, of: str = "") -> Result | None:
        """Return what a stage found; None if it did not end, or was of something else."""
        try:
            found = json.loads((self.path / f"{stage}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and of in ("", found.get("of")) else None

    def stage(self, name: str, of: str, do: Callable[[], Result]) -> Result:
        """Return what a stage found: before, or now.

        Parameters
        ----------
        name : str
        of : str
            Names all that the result depends on.
        do : callable
            Its files must be whole when it returns.
        """
        known = self.known(name, of)
        if known is not None:
            return known
        found = {"of": of, **do()}
        text = json.dumps(found, indent=1, ensure_ascii=False)
        aside.replace(self.path / f"{name}.json", text.encode())
        return found


def named(*parts: Any) -> str:
    """Return a short name of values: equal ones have one name."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def folder_of(name: str) -> str:
    """Return what the folder of a plan is called: ``search-2.5x``."""
    return name.replace(" ", "-").replace("%", "-percent")
