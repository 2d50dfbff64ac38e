"""Where a database's records come from: times hold for one machine and one compiler."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import tvm
from tvm.target.codegen import llvm_get_system_cpu

from tvm_sparse import aside, link
from tvm_sparse.errors import DatabaseError
from tvm_sparse.rpc.about import About as Machine
from tvm_sparse.targets import Target
from tvm_sparse.targets.vulkan import describe
from tvm_sparse.tuning.lines import Lines

FILE = "provenance.json"
_VERSIONS = ("tvm", "tvm_sparse")
_MACHINE = ("target", "cpu", "flags", "cores", *_VERSIONS)
_CLASS = ("target", "microarchitecture", "vectors", "caches", "cores", *_VERSIONS)
_GPU = ("target", "device", "driver", *_VERSIONS)
_ELSEWHERE = ("target", "cores", *_VERSIONS)  # of a machine that this one is not like
_VECTORS = ("avx", "fma", "amx", "f16c", "sse", "asimd")

About = dict[str, str]


def foreign(path: Path, target: Target, origin: About | None = None) -> str:
    """Return what tells a folder's records from those of this machine; empty if nothing does.

    For a target that this machine is not, its CPU does not matter.

    Parameters
    ----------
    path : Path
    target : Target
    origin : mapping of str to str, optional
        Where records come from, if not from this machine.

    Raises
    ------
    DatabaseError
        If the file cannot be read.
    """
    about = read(path)
    if about is None:
        return "an unknown machine" if Lines.of(path).records else ""
    if origin is not None:
        return unlike(about, origin, _GPU if target.is_gpu else _MACHINE)
    return unlike(about, here(target), _names(target, _MACHINE))


def foreign_class(path: Path, target: Target) -> str:
    """Return what tells a folder's records from those of CPUs like this one.

    The model's name and flags without meaning for our code may differ; the microarchitecture,
    vector instructions, sizes of caches and number of cores may not. See `foreign` on targets that
    this machine is not.
    """
    return unlike(read(path) or {}, here(target), _names(target, _CLASS))


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


def renew(path: Path, about: About) -> None:
    """Write down where the records come from, and keep what else the folder tells."""
    write(path, {**(read(path) or {}), **about})


def here(target: Target) -> About:
    """Return what there is to say of records that are measured now, on this machine."""
    gpu = describe.identity() if target.is_gpu else {}
    return told(target, Machine.here(), str(llvm_get_system_cpu()), gpu)


def told(
    target: Target, machine: Machine, microarchitecture: str, gpu: Mapping[str, str] | None = None
) -> About:
    """Return what there is to say of records that are measured now, on any machine.

    Parameters
    ----------
    target : Target
    machine : tvm_sparse.rpc.about.About
        What the machine says of itself.
    microarchitecture : str
        LLVM's name of its CPU.
    gpu : mapping of str to str, optional
        ``device`` and ``driver``, see `tvm_sparse.targets.vulkan.describe.identity`.
    """
    vectors = (flag for flag in machine.flags if flag.startswith(_VECTORS))
    return {
        "target": target.name,
        "cpu": machine.cpu,
        "microarchitecture": microarchitecture,
        "flags": " ".join(machine.flags),
        "vectors": " ".join(vectors),
        "caches": f"{target.l1} {target.l2}",
        "cores": str(target.cores),
        "tvm": str(tvm.__version__),
        "tvm_sparse": version("tvm_sparse"),
        "runtime": machine.tvm,
        "governor": machine.governor,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **(gpu or {}),
    }


def together(several: Iterable[About]) -> About:
    """Return what there is to say of records from folders that tell the same machine.

    Of what may differ, the latest date is kept, and every governor.
    """
    known = list(several)
    governors = {name for one in known for name in one.get("governor", "unknown").split(", ")}
    date = max(one.get("date", "") for one in known)
    return {**known[0], "governor": ", ".join(sorted(governors)), "date": date}


def _names(target: Target, usual: Sequence[str]) -> Sequence[str]:
    """Return the entries by which records are told apart."""
    if target.is_gpu:
        return _GPU if target.is_native else _ELSEWHERE
    return _ELSEWHERE if link.is_foreign(target.triple) else usual


def _short(value: str) -> str:
    return value if len(value) < 60 else "other than this machine's"
