"""Emulated machines that are reached by ssh, through a server of our own, or by a stand-in for adb.

Their shells run programs under emulation, and say that they are a board. Faults are asked for by a
file: ``hang`` stops what runs from then on, ``lose`` takes a phone away.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support import emulated, programs

_CPUINFO = {
    "rpi4": "Features : fp asimd crc32\nModel : Raspberry Pi 4\n",
    "armv7": "Features : half neon vfpv4\nmodel name : ARMv7 Processor rev 5 (v7l)\n",
}
_MACHINES = {"rpi4": "aarch64", "armv7": "armv7l"}
_SHELL = """#!/bin/sh
[ -e {folder}/hang ] && exec sleep 60
line=$(printf %s "${{SSH_ORIGINAL_COMMAND:-$*}}" | sed '
  s#\\./\\([0-9]*-candidate\\)#{qemu} -cpu {cpu} ./\\1#
  s#/data/local/tmp/\\|/tmp/#{folder}/#g
  s#/proc/cpuinfo#{folder}/cpuinfo#
  s#uname -m#echo {machine}#
')
exec sh -c "$line"
"""
_ADB = """#!/bin/sh
[ -e {folder}/lose ] && echo "adb: no devices/emulators found" >&2 && exit 1
[ "$1" = -s ] && shift 2
there() {{ echo "$1" | sed 's#^/data/local/tmp/#{folder}/#'; }}
case $1 in
  push) mkdir -p "$(dirname "$(there "$3")")" && exec cp "$2" "$(there "$3")" ;;
  pull) exec cp "$(there "$2")" "$3" ;;
  shell) shift && exec {folder}/shell "$*" ;;
esac
"""
_SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/mine.pub
ForceCommand {folder}/shell
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
"""
_SSH = """#!/bin/sh
exec {ssh} -F none -i {folder}/mine -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null \\
  -oLogLevel=ERROR "$@"
"""


@dataclass
class Machine:
    """An emulated machine.

    Parameters
    ----------
    runner : {"ssh", "adb"}
    folder : Path
    host : str
    server : Popen, optional
        The ssh server.
    """

    runner: str
    folder: Path
    host: str = ""
    server: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def lose(self) -> None:
        """Take the machine away."""
        if self.server is None:
            (self.folder / "lose").touch()
        else:
            self.server.kill()
            connection = f"-oControlPath={tempfile.gettempdir()}/tvm_sparse-%C"
            subprocess.run(["ssh", connection, "-Oexit", self.host], check=False)

    def hang(self) -> None:
        """Let all that is asked from now on hang."""
        (self.folder / "hang").touch()


@contextmanager
def machine(runner: str, target: str, folder: Path) -> Iterator[Machine]:
    """A machine whose ssh or adb is first in PATH."""
    kind, cpu = programs.BOARDS[target]
    (folder / "cpuinfo").write_text(_CPUINFO[target])
    words = {"folder": folder, "qemu": emulated.qemu(kind), "cpu": cpu}
    _script(folder / "shell", _SHELL.format(**words, machine=_MACHINES[target]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        (folder / "bin").mkdir()
        if runner == "adb":
            _script(folder / "bin/adb", _ADB.format(folder=folder))
            yield Machine("adb", folder)
        else:
            with _served(folder) as found:
                yield found


@contextmanager
def _served(folder: Path) -> Iterator[Machine]:
    """A machine behind an ssh server that knows one key."""
    program, port = _sshd(), _free_port()
    for name in ("host", "mine"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(key, check=True)
    (folder / "config").write_text(_SSHD.format(port=port, folder=folder))
    _script(folder / "bin/ssh", _SSH.format(ssh=shutil.which("ssh"), folder=folder))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, "-D", "-e", "-f", folder / "config"], stderr=log)
    try:
        _await(port, server, folder / "log")
        yield Machine("ssh", folder, f"ssh://{getpass.getuser()}@127.0.0.1:{port}", server)
    finally:
        server.kill()
        server.wait()


def _sshd() -> str:
    """The server; skips the test where there is none, but fails in CI."""
    found = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("no sshd: apt-get install openssh-server")
    if found is None:
        pytest.skip("no sshd: apt-get install openssh-server")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # as its service does
    return found


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _await(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 20
    while time.monotonic() < ends and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"sshd did not start: {log.read_text()}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
