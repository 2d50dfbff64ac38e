"""Which place candidates run at, by what a user names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tvm_sparse import targets
from tvm_sparse.errors import DeviceError
from tvm_sparse.tuning.places.here import Here
from tvm_sparse.tuning.places.place import Place

Runner = Literal["ssh", "adb", "cycles"]


def find(
    target: Any,
    tracker: str | None = None,
    key: str | None = None,
    runner: Runner | None = None,
    host: str | None = None,
    cpus: Sequence[int] = (),
) -> Place:
    """Return where kernels for a target are measured: here, or on boards.

    Parameters
    ----------
    target : str, path, Target or tvm.target.Target
    tracker, key : str, optional
        ``HOST`` or ``HOST:PORT`` of TVM's tracker, and what the boards are called there.
    runner : {"ssh", "adb", "cycles"}, optional
        How a machine without TVM is reached; or that none is, and cycles are modelled, see
        `tvm_sparse.cycles`.
    host : str, optional
        For ssh e.g. ``pi@192.168.1.20``; for adb a phone's serial number, where there are several.
    cpus : sequence of int
        To which threads are pinned on a machine without TVM.

    Raises
    ------
    TargetError
        If the target is unknown; without boards, if it is not this machine.
    DeviceError
        If only one of tracker and key is given, there is no such board, or it cannot run the
        target's code; if a runner is unknown, or not named as it should be.
    """
    if runner is not None or host is not None or cpus:
        if tracker is not None or key is not None:
            raise DeviceError("expected a tracker and a key, or a runner and a host, not both")
        if runner == "cycles":
            return _modelled(target, host, cpus)
        return _by_shell(target, runner, host, cpus)
    if tracker is None and key is None:
        return Here(targets.load_here(target))
    if tracker is None or key is None:
        raise DeviceError(
            "boards are named by their tracker and their key, e.g. tracker='192.168.1.10:9190', "
            "key='rpi4'; `tvm-sparse devices` lists the keys"
        )
    from tvm_sparse.rpc.address import Address
    from tvm_sparse.tuning.places.boards import boards

    return boards(targets.load(target), Address.parse(tracker), key)


def _by_shell(target: Any, runner: Runner | None, host: str | None, cpus: Sequence[int]) -> Place:
    """Return a machine that runs static programs."""
    from tvm_sparse.shells.adb import Adb
    from tvm_sparse.shells.ssh import Ssh
    from tvm_sparse.tuning.places.programs import programs

    profile = targets.load(target)
    if runner == "adb":
        return programs(profile, Adb(host or ""), cpus)
    if runner == "ssh" and host is not None:
        return programs(profile, Ssh(host), cpus)
    raise DeviceError(
        "expected runner='ssh' with a host, e.g. 'pi@192.168.1.20', runner='adb' or 'cycles', "
        f"got runner={runner!r}, host={host!r}"
    )


def _modelled(target: Any, host: str | None, cpus: Sequence[int]) -> Place:
    """Return a core whose cycles are modelled."""
    from tvm_sparse.tuning.places.modelled import ModelledCore

    if host is not None or cpus:
        raise DeviceError("cycles are modelled here: expected no host and no cpus with them")
    return ModelledCore(targets.load(target))
