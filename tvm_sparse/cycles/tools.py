"""The programs that the model needs: an emulator with plugins, llvm-mca, and compilers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec

from tvm_sparse.errors import DeviceError

_NEWEST, _OLDEST = 29, 17  # releases of LLVM that are looked for; 17 has the Neoverse N1
_PATIENCE = 600.0  # seconds
_REMEDY = "modelling cycles takes qemu's user mode and llvm-mca: apt-get install qemu-user llvm-19"


def run(command: list[str], text: str = "", folder: str | None = None) -> str:
    """Run a program to its end and return what it prints.

    Raises
    ------
    DeviceError
        If it fails, or does not end.
    """
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"{command[0]} ran for more than {_PATIENCE:.0f} seconds") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-1000:]
        raise DeviceError(f"{command[0]} failed with status {done.returncode}: {said}")
    return done.stdout


@cache
def qemu() -> str:
    """Return the emulator of aarch64 programs; a static one cannot load plugins.

    Raises
    ------
    DeviceError
        If there is none.
    """
    found = shutil.which("qemu-aarch64")
    if found is None:
        raise DeviceError(f"found no qemu-aarch64; {_REMEDY}")
    return found


@cache
def plugin_version() -> int:
    """Return which version of its plugins the emulator asks for; qemu 9 dropped the first."""
    major = re.search(r"version (\d+)", run([qemu(), "--version"]))
    return 2 if major is not None and int(major[1]) >= 9 else 1


@cache
def llvm(tool: str) -> str:
    """Return the newest ``llvm-mca`` or ``llvm-mc`` that is installed.

    Raises
    ------
    DeviceError
        If there is none, or an old one only.
    """
    for release in range(_NEWEST, _OLDEST - 1, -1):
        found = shutil.which(f"{tool}-{release}")
        if found is not None:
            return found
    found = shutil.which(tool)
    if found is None:
        raise DeviceError(f"found no {tool}; {_REMEDY}")
    said = re.search(r"LLVM version (\d+)", run([found, "--version"]))
    if said is None or int(said[1]) < _OLDEST:
        got = said[1] if said is not None else "none"
        raise DeviceError(f"{found}: expected LLVM {_OLDEST} or newer, got {got}; {_REMEDY}")
    return found


@cache
def compiler() -> str:
    """Return this machine's C compiler, which makes the plugin.

    Raises
    ------
    DeviceError
        If there is none.
    """
    found = next((c for c in ("gcc", "clang", "cc", "g++", "clang++") if shutil.which(c)), None)
    if found is None:
        raise DeviceError("found no C compiler for the emulator's plugin: apt-get install gcc")
    return found


def zig() -> list[str]:
    """Return the command of ziglang, which compiles and links for ARM.

    Raises
    ------
    DeviceError
        If it is not installed.
    """
    if find_spec("ziglang") is None:
        raise DeviceError("expected ziglang, which links for ARM: pip install 'tvm-sparse[arm]'")
    return [sys.executable, "-m", "ziglang"]


def demand() -> None:
    """Look for all of them.

    Raises
    ------
    DeviceError
        If one is missing.
    """
    for tool in (qemu, compiler, zig):
        tool()
    for name in ("llvm-mca", "llvm-mc"):
        llvm(name)
