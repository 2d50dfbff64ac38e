"""Emulated ARM boards: Debian's Python and TVM's runtime for aarch64, under qemu's user mode.

A board's files are unpacked once into ``.cache`` (about 200 MB): Debian packages by apt, in a state
of its own that leaves the system's alone, and the aarch64 wheels by pip.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from tvm.rpc.tracker import Tracker

from tvm_sparse.rpc import tracker as trackers
from tvm_sparse.rpc.address import Address

_REPOSITORY = Path(__file__).parents[2]
_CACHE = _REPOSITORY / ".cache"
_DEBIAN = ["python3", "libstdc++6", "zlib1g"]
_WHEELS = ["apache-tvm", "apache-tvm-ffi", "ml-dtypes", "numpy", "typing-extensions"]
_PLATFORMS = ["manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28"]
_PATIENCE = 120.0  # seconds until a board has come up


def qemu(machine: str = "aarch64") -> str:
    """The emulator; skips the test where there is none, but fails in CI."""
    found = shutil.which(f"qemu-{machine}-static") or shutil.which(f"qemu-{machine}")
    if found is not None:
        return found
    missing = f"no qemu-{machine}: apt-get install qemu-user-static"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


def root() -> Path:
    """The board's file system, made when missing."""
    _CACHE.mkdir(exist_ok=True)
    final = _CACHE / f"board-aarch64-tvm{version('apache-tvm')}"
    with (_CACHE / "board.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.exists():
            with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
                made = Path(folder) / "root"
                _unpack_debian(made, Path(folder))
                _unpack_wheels(made, Path(folder))
                made.rename(final)
    return final


class TrackerProcess:
    """A tracker on a free port of this machine; stopped, it can be started again there."""

    def __init__(self) -> None:
        self._port = _free_port()
        self.start()

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self._port)

    def start(self) -> None:
        self._running = Tracker(
            host="127.0.0.1", port=self._port, port_end=self._port + 1, silent=True
        )

    def stop(self) -> None:
        self._running.terminate()


@contextlib.contextmanager
def served(tracker: Address, cpu: str, key: str) -> Iterator[subprocess.Popen[bytes]]:
    """An emulated board that serves; ``cpu`` is qemu's name, e.g. ``cortex-a72``."""
    files = root()
    environment = {
        "QEMU_CPU": cpu,
        "TVM_USE_RUNTIME_LIB": "1",
        "TVM_NUM_THREADS": "1",
        "PYTHONPATH": f"{files / 'site'}:{_REPOSITORY}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    python = [qemu(), "-L", str(files), str(files / "usr/bin/python3")]
    with _serving(python, environment, tracker, key) as board:
        yield board


@contextlib.contextmanager
def native(tracker: Address, key: str) -> Iterator[subprocess.Popen[bytes]]:
    """This machine as a board that serves."""
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY)}
    with _serving([sys.executable], environment, tracker, key) as board:
        yield board


@contextlib.contextmanager
def _serving(
    python: list[str], environment: dict[str, str], tracker: Address, key: str
) -> Iterator[subprocess.Popen[bytes]]:
    command = [*python, str(Path(__file__).with_name("board_main.py"))]
    port = _free_port()
    command += [str(tracker), key, str(port)]
    log = tempfile.TemporaryFile()
    board = subprocess.Popen(
        command, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        _wait(board, tracker, f"127.0.0.1:{port}", log)
        yield board
    finally:
        stop(board)


def stop(board: subprocess.Popen[bytes]) -> None:
    """Take a board's power away."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(board.pid, signal.SIGKILL)
    board.wait()


def _wait(board: subprocess.Popen[bytes], tracker: Address, address: str, log: object) -> None:
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends and board.poll() is None:
        if any(address in one.addresses and one.free for one in trackers.boards(tracker)):
            return
        time.sleep(0.5)
    log.seek(0)  # type: ignore[attr-defined]
    pytest.fail(f"the board did not come up: {log.read().decode()[-2000:]}")  # type: ignore[attr-defined]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _unpack_debian(made: Path, folder: Path) -> None:
    """Unpack Debian packages of arm64 with all they depend on, without installing them."""
    state, cache = folder / "state", folder / "cache"
    for needed in (state / "lists/partial", cache / "archives/partial"):
        needed.mkdir(parents=True)
    (state / "status").touch()
    settings = {
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": cache,
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Debug::NoLocking": "true",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    _run([*apt, "update"])
    _run([*apt, "install", "--download-only", "--yes", *_DEBIAN])
    for package in (cache / "archives").glob("*.deb"):
        _run(["dpkg-deb", "--extract", str(package), str(made)])


def _unpack_wheels(made: Path, folder: Path) -> None:
    """Unpack the wheels of the versions that are installed here; the compiler is not needed."""
    python = (made / "usr/bin/python3").readlink().name.removeprefix("python")
    wanted = [f"{name}=={version(name)}" for name in _WHEELS]
    options = [f"--platform={name}_aarch64" for name in _PLATFORMS]
    options += ["--no-deps", "--only-binary=:all:", f"--python-version={python}"]
    wheels = folder / "wheels"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", f"--dest={wheels}"]
    _run([*pip, *options, *wanted])
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(made / "site")
    (made / "site/tvm/lib/libtvm_compiler.so").unlink(missing_ok=True)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command[:6])} … failed: {done.stderr[-2000:]}")
