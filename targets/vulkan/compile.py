"""Compile the device, once for each version of it and of TVM."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from tvm_sparse.aside import written_aside
from tvm_sparse.errors import TargetError

VARIABLE = "TVM_SPARSE_CACHE"
_SOURCES = Path(__file__).parent / "device"
# TVM's runtime throws C++ exceptions through the device: their libraries must be the same.
_COMPILERS = ("g++", "clang++", "c++")
_OPTIONS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-w")


def library() -> Path:
    """Return the compiled device: a packaged or cached one if it fits, else a new one.

    Raises
    ------
    TargetError
        If it must be compiled, and there is no compiler, or it fails.
    """
    name = f"vulkan-{_digest()}.so"
    for folder in (_SOURCES, cache()):
        if (folder / name).is_file():
            return folder / name
    cache().mkdir(parents=True, exist_ok=True)
    with written_aside(cache() / name, ".so") as file:
        _compile(file)
    return cache() / name


def cache() -> Path:
    """Return the folder of compiled devices; the variable TVM_SPARSE_CACHE names another."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(VARIABLE) or Path(home) / "tvm_sparse")


def _digest() -> str:
    found = hashlib.sha256()
    for package in ("apache-tvm", "apache-tvm-ffi"):
        found.update(version(package).encode())
    found.update(platform.machine().encode())
    for source in sorted(_SOURCES.glob("*.[ch]*")):
        found.update(source.name.encode() + source.read_bytes())
    return found.hexdigest()[:16]


def _compile(file: Path) -> None:
    compiler = next(
        (c for c in (os.environ.get("CXX"), *_COMPILERS) if c and shutil.which(c)), None
    )
    if compiler is None:
        raise TargetError(
            "the Vulkan device is compiled when it is first used, and no C++ compiler was found: "
            "apt-get install g++"
        )
    include, link = _places()
    # In one piece: TVM's headers take longer to read than the rest.
    sources = "".join(f'#include "{source.name}"\n' for source in sorted(_SOURCES.glob("*.cc")))
    command = [compiler, *_OPTIONS, f"-I{_SOURCES}", *include, "-x", "c++", "-"]
    command += ["-x", "none", "-o", str(file), *link, "-ldl"]
    done = subprocess.run(command, input=sources, capture_output=True, text=True)
    if done.returncode:
        raise TargetError(f"cannot compile the Vulkan device: {done.stderr[-2000:]}")


def _places() -> tuple[list[str], list[str]]:
    """Return the options that name the headers, and the libraries, of TVM's wheels."""
    import tvm_ffi.libinfo
    from tvm import libinfo

    headers = [libinfo.find_include_path(), *tvm_ffi.libinfo.include_paths()]
    libraries = [
        Path(str(libinfo.find_libtvm_runtime())),
        Path(tvm_ffi.libinfo.find_libtvm_ffi()),
    ]
    link = [str(path) for path in libraries]
    return [f"-I{path}" for path in headers], link
