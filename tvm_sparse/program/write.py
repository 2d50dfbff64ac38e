"""Compile and link a static executable, with ziglang's C compiler and C library."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tvm
from tvm.libinfo import find_include_path
from tvm_ffi import libinfo

from tvm_sparse import link
from tvm_sparse.artifact import Description
from tvm_sparse.errors import ArtifactError
from tvm_sparse.program import source
from tvm_sparse.program.plan import Plan, place
from tvm_sparse.program.read import read

_SOURCES = sorted((Path(__file__).parent / "c").glob("*.c"))
# What zig calls the machines; musl is a C library that links statically.
_MACHINES = {
    "aarch64": ["-target", "aarch64-linux-musl"],
    "armv7": ["-target", "arm-linux-musleabihf", "-mcpu=cortex_a7"],
    "x86_64": ["-target", "x86_64-linux-musl"],
}
_OPTIONS = ["-std=gnu11", "-O2", "-static", "-s", "-Wl,-z,max-page-size=16384"]


def write(executable: Any, mod: tvm.IRModule, description: Description, path: Path) -> None:
    """Write a model as a static executable.

    Parameters
    ----------
    executable : tvm.runtime.Executable
    mod : IRModule
        What it was compiled from.
    description : Description
    path : Path

    Raises
    ------
    ModelError
        If the model needs more than kernels.
    ArtifactError
        If it cannot be linked or written.
    """
    link_plan(executable, read(mod), description, path)


def link_plan(executable: Any, plan: Plan, description: Description, path: Path) -> None:
    """Write a plan over the kernels of an executable; as `write`."""
    places = place(plan)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source.write_constants(places, folder / "constants.bin")
        (folder / "constants.S").write_text(source.constants(folder / "constants.bin"))
        text = source.tables(plan, places, description)
        (folder / "model.c").write_text(text)
        kernels = _object(executable, folder)
        files = [folder / "model.c", folder / "constants.S", kernels, *_SOURCES]
        _compile(_command(description.triple), files, path)


def _command(triple: str) -> list[str]:
    machine = link.architecture(triple)
    if machine not in _MACHINES:
        raise ArtifactError(
            f"no static executable can be linked for {triple or machine}; "
            f"expected one of {', '.join(_MACHINES)}"
        )
    if find_spec("ziglang") is None:
        raise ArtifactError(
            "a static executable needs ziglang's compiler: pip install 'tvm-sparse[arm]'"
        )
    return [sys.executable, "-m", "ziglang", "cc", *_MACHINES[machine], *_OPTIONS]


def _object(executable: Any, folder: Path) -> Path:
    """Write the kernels as an object file."""
    found = folder / "kernels.o"

    def keep(output: str, objects: list[str], **_: Any) -> None:
        shutil.copyfile(objects[0], found)

    with link.quiet_stderr():
        # The rest of the library, bytecode and constants, is not wanted: nothing is packed.
        executable.export_library(
            str(folder / "none.so"), fcompile=keep, fpack_imports=lambda *_: ""
        )
    return found


def _compile(command: list[str], files: list[Path], path: Path) -> None:
    headers = [find_include_path(), *libinfo.include_paths(), str(_SOURCES[0].parent)]
    line = [*command, *(f"-I{folder}" for folder in headers), *map(str, files), "-o", str(path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ArtifactError(f"cannot link {path.name}: {done.stderr.strip()[-2000:]}")
