"""Which place candidates run at, by what a user names."""

from __future__ import annotations

from typing import Any

from tvm_sparse import targets
from tvm_sparse.errors import DeviceError
from tvm_sparse.tuning.places.here import Here
from tvm_sparse.tuning.places.place import Place


def find(
    target: Any, tracker: str | None = None, key: str | None = None, runner: str | None = None
) -> Place:
    """Return where kernels for a target are measured: here, on a tracker's boards, or in a model.

    Parameters
    ----------
    target : str, path, Target or tvm.target.Target
    tracker, key : str, optional
        ``HOST`` or ``HOST:PORT`` of TVM's tracker, and what the boards are called there.
    runner : {"cycles"}, optional
        ``"cycles"``: nothing is measured, cycles are modelled (`tvm_sparse.cycles`).

    Raises
    ------
    TargetError
        If the target is unknown; without boards, if it is not this machine.
    DeviceError
        If only one of tracker and key is given, there is no such board, or it cannot run the
        target's code; if the runner is unknown.
    """
    if runner is not None:
        return _by(runner, target, tracker, key)
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


def _by(runner: str, target: Any, tracker: str | None, key: str | None) -> Place:
    """Return the place of a runner that is no board of a tracker's."""
    if runner != "cycles":
        raise DeviceError(f"unknown runner {runner!r}: take 'cycles', or name a tracker and a key")
    if tracker is not None or key is not None:
        raise DeviceError("cycles are modelled here: expected no tracker and no key with them")
    from tvm_sparse.tuning.places.modelled import ModelledCore

    return ModelledCore(targets.load(target))
