"""Link compiled code to a shared library, for this machine or for another; and load it.

For another machine ziglang's linker serves, which pip installs and which asks for no files of that
machine; else a cross linker of the system.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tvm_sparse.errors import ArtifactError

# 16 KiB pages are the largest that ARM kernels use (Raspberry Pi 5, Android 15).
_OPTIONS = ["-shared", "-z", "max-page-size=16384", "--hash-style=both"]
_SAME = {"amd64": "x86_64", "arm64": "aarch64"}


def architecture(triple: str = "") -> str:
    """Return the processor family of an LLVM triple, e.g. ``aarch64``; without one, this machine's.

    Examples
    --------
    >>> architecture("aarch64-linux-gnu")
    'aarch64'
    >>> architecture("armv7a-linux-gnueabihf")
    'armv7'
    """
    name = (triple.split("-")[0] or platform.machine()).lower()
    return "armv7" if name.startswith(("armv7", "thumbv7")) else _SAME.get(name, name)


def is_foreign(triple: str) -> bool:
    """Whether code for a triple cannot run on this machine."""
    return architecture(triple) != architecture()


def library(executable: Any, path: Path, triple: str = "") -> None:
    """Link an executable of TVM's to a shared library.

    Parameters
    ----------
    executable : tvm.runtime.Executable
    path : Path
    triple : str
        What its code is for; empty for this machine.

    Raises
    ------
    ArtifactError
        If there is no linker, or it fails.
    """
    options = {"fcompile": _cross(triple)} if is_foreign(triple) else {"cc": _compiler()}
    try:
        with quiet_stderr():
            executable.export_library(str(path), **options)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or error
        raise ArtifactError(f"cannot link {path.name}: {said}") from error


def load(path: str | os.PathLike[str]) -> Any:
    """Return a linked library, which leaves memory with the last of its functions.

    TVM's own ``load_module`` keeps every library until the process ends, and so its weights.
    """
    import tvm_ffi

    return tvm_ffi.load_module(path, keep_module_alive=False)


def _compiler() -> str:
    found = next((c for c in ("g++", "clang++", "c++", "gcc", "cc") if shutil.which(c)), None)
    if found is None:
        raise ArtifactError(
            "linking a library needs a C++ compiler and none was found; "
            "install one, e.g. apt-get install g++"
        )
    return found


def _cross(triple: str) -> Callable[..., None]:
    """Return a function that links objects, as TVM's `export_library` takes it."""
    command = _linker(triple)

    def link(output: str, objects: list[str], options: Any = None, **_: Any) -> None:
        line = [*command, *_OPTIONS, "-o", output, *objects]
        subprocess.run(line, check=True, capture_output=True, text=True)

    link.output_format = "so"  # type: ignore[attr-defined]  # TVM asks for it
    return link


def _linker(triple: str) -> list[str]:
    if find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "ld.lld"]
    for name in (f"{triple}-ld", "ld.lld"):
        if shutil.which(name):
            return [name]
    raise ArtifactError(
        f"linking for {triple} needs a linker for that machine: pip install 'tvm-sparse[arm]', "
        f"or apt-get install lld"
    )


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what native code prints to stderr: TVM logs every saved constant as a warning."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
