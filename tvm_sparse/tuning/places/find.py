"""Which place candidates run at, by what a user names."""

from __future__ import annotations

from typing import Any

from tvm_sparse import targets
from tvm_sparse.errors import DeviceError
from tvm_sparse.tuning.places.here import Here
from tvm_sparse.tuning.places.place import Place


def find(target: Any, tracker: str | None = None, key: str | None = None) -> Place:
    """Return where kernels for a target are measured: here, or on a tracker's boards.

    Parameters
    ----------
    target : str, path, Target or tvm.target.Target
    tracker, key : str, optional
        ``HOST`` or ``HOST:PORT`` of TVM's tracker, and what the boards are called there.

    Raises
    ------
    TargetError
        If the target is unknown; without boards, if it is not this machine.
    DeviceError
        If only one of tracker and key is given, there is no such board, or it cannot run the
        target's code.
    """
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
