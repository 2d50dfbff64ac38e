from __future__ import annotations

from pathlib import Path

import pytest

from support.reached import Machine
from tvm_sparse.errors import DeviceError
from tvm_sparse.shells.adb import Adb
from tvm_sparse.shells.shell import Shell
from tvm_sparse.shells.ssh import Ssh

pytestmark = pytest.mark.arm


def shell_of(machine: Machine) -> Shell:
    return Ssh(machine.host) if machine.runner == "ssh" else Adb("SERIAL")


def test_files_go_there_and_come_back_whole(machine: Machine, tmp_path: Path) -> None:
    shell, sent, got = shell_of(machine), tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(bytes(range(256)) * 99)
    shell.push(sent, "a")
    ran = shell.run("cat a a > b && echo done", 20)
    shell.pull("b", got)
    assert (ran.status, ran.output) == (0, b"done\n")
    assert got.read_bytes() == sent.read_bytes() * 2
    shell.remove()
    assert not list(tmp_path.glob("tvm_sparse-*"))


def test_a_command_that_fails_tells_its_status(machine: Machine) -> None:
    ran = shell_of(machine).run("echo no room >&2 && exit 7", 20)
    assert (ran.status, ran.error.strip()) == (7, "no room")


def test_a_file_that_is_not_there_is_told(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"cannot store or send none: .*No such file"):
        shell_of(machine).pull("none", tmp_path / "got")


def test_a_lost_machine_is_told(machine: Machine) -> None:
    shell = shell_of(machine)
    shell.run("true", 20)
    machine.lose()
    with pytest.raises(DeviceError, match=r"lost .*(refused|reset|closed|no devices)"):
        shell.run("true", 20)


def test_a_machine_that_hangs_is_given_up(machine: Machine) -> None:
    machine.hang()
    with pytest.raises(DeviceError, match="did not answer within 1 s"):
        shell_of(machine).run("true", 0.6)


def test_a_missing_adb_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="adb is missing: apt-get install adb"):
        Adb().run("true", 20)
