"""Where a database's records come from: times hold for one machine and one compiler."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import tvm
from tvm.target.codegen import llvm_get_system_cpu

from tvm_sparse import aside
from tvm_sparse.errors import DatabaseError
from tvm_sparse.targets import Target, native
from tvm_sparse.tuning.lines import Lines

FILE = "provenance.json"
_VERSIONS = ("tvm", "tvm_sparse")
_MACHINE = ("target", "cpu", "flags", "cores", *_VERSIONS)
_CLASS = ("target", "microarchitecture", "vectors", "caches", "cores", *_VERSIONS)
_VECTORS = ("avx", "fma", "amx", "f16c", "sse")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")

About = dict[str, str]


def foreign(path: Path, target: Target) -> str:
    """Return what tells a folder's records from those of this machine; empty if nothing does.

    Raises
    ------
    DatabaseError
        If the file cannot be read.
    """
    about = read(path)
    if about is None:
        return "an unknown machine" if Lines.of(path).records else ""
    return unlike(about, here(target))


def foreign_class(path: Path, target: Target) -> str:
    """Return what tells a folder's records from those of CPUs like this one.

    The model's name and flags without meaning for our code may differ; the microarchitecture,
    vector instructions, sizes of caches and number of cores may not.
    """
    return unlike(read(path) or {}, here(target), _CLASS)


def unlike(one: About, other: About, names: Sequence[str] = _MACHINE) -> str:
    """Return the entries of one in which it differs from the other, e.g. ``cpu Z80, cores 2``."""
    different = [name for name in names if one.get(name) != other.get(name)]
    return ", ".join(f"{name} {_short(one.get(name, 'unknown'))}" for name in different)


def read(path: Path) -> About | None:
    """Return where a folder's records come from; None if it does not say.

    Raises
    ------
    DatabaseError
        If the file cannot be read.
    """
    file = path / FILE
    if not file.exists():
        return None
    try:
        return {str(k): str(v) for k, v in json.loads(file.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise DatabaseError(f"cannot read {file}: {error!r}; remove it if it is broken") from error


def write(path: Path, about: About) -> None:
    """Write down where the records come from."""
    aside.replace(path / FILE, json.dumps(about, indent=2).encode() + b"\n")


def here(target: Target) -> About:
    """Return what there is to say of records that are measured now, on this machine."""
    governor = _GOVERNOR.read_text().strip() if _GOVERNOR.exists() else "unknown"
    flags = sorted(native.cpu_flags())
    return {
        "target": target.name,
        "cpu": native.cpu_name(),
        "microarchitecture": str(llvm_get_system_cpu()),
        "flags": " ".join(flags),
        "vectors": " ".join(flag for flag in flags if flag.startswith(_VECTORS)),
        "caches": f"{target.l1} {target.l2}",
        "cores": str(target.cores),
        "tvm": str(tvm.__version__),
        "tvm_sparse": version("tvm_sparse"),
        "governor": governor,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def together(several: Iterable[About]) -> About:
    """Return what there is to say of records from folders that tell the same machine.

    Of what may differ, the latest date is kept, and every governor.
    """
    known = list(several)
    governors = {name for one in known for name in one.get("governor", "unknown").split(", ")}
    date = max(one.get("date", "") for one in known)
    return {**known[0], "governor": ", ".join(sorted(governors)), "date": date}


def _short(value: str) -> str:
    return value if len(value) < 60 else "other than this machine's"
