"""Where a database's records come from: times hold for one machine and one compiler."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import tvm

from tvm_sparse import aside
from tvm_sparse.errors import DatabaseError
from tvm_sparse.targets import Target, native

_FILE = "provenance.json"
_DECISIVE = ("target", "cpu", "flags", "cores", "tvm", "tvm_sparse")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def foreign(path: Path, target: Target) -> str:
    """Return what tells a folder's records from those of this machine; empty if nothing does.

    Raises
    ------
    DatabaseError
        If the file cannot be read.
    """
    file = path / _FILE
    if not file.exists():
        return ""
    try:
        recorded = json.loads(file.read_text(encoding="utf-8"))
        different = [name for name in _DECISIVE if recorded[name] != _here(target)[name]]
    except (OSError, ValueError, KeyError) as error:
        raise DatabaseError(f"cannot read {file}: {error!r}; remove it if it is broken") from error
    return ", ".join(f"{name} {_short(recorded[name])}" for name in different)


def write(path: Path, target: Target) -> None:
    """Write down where the records come from."""
    governor = _GOVERNOR.read_text().strip() if _GOVERNOR.exists() else "unknown"
    about = {
        **_here(target),
        "governor": governor,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    aside.replace(path / _FILE, json.dumps(about, indent=2).encode())


def _here(target: Target) -> dict[str, str]:
    return {
        "target": target.name,
        "cpu": native.cpu_name(),
        "flags": " ".join(sorted(native.cpu_flags())),
        "cores": str(target.cores),
        "tvm": str(tvm.__version__),
        "tvm_sparse": version("tvm_sparse"),
    }


def _short(value: str) -> str:
    return value if len(value) < 60 else "other than this machine's"
