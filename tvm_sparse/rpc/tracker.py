"""What boards a tracker knows."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tvm import rpc

from tvm_sparse.errors import DeviceError
from tvm_sparse.rpc.address import Address

_PATIENCE = 5.0  # seconds until a tracker that does not answer is given up


@dataclass(frozen=True, kw_only=True)
class Boards:
    """The boards of one key.

    Parameters
    ----------
    key : str
    addresses : tuple of str
        ``host:port`` of each.
    free, waiting : int
        Boards that nobody uses, and sessions that wait for one.
    """

    key: str
    addresses: tuple[str, ...]
    free: int
    waiting: int


def connect(tracker: Address) -> Any:
    """Return a connection to a tracker.

    Raises
    ------
    DeviceError
        If nothing listens there, or it is no tracker.
    """
    with _telling(tracker):
        socket.create_connection(tracker, _PATIENCE).close()
        return rpc.connect_tracker(*tracker)


def boards(tracker: Address) -> list[Boards]:
    """Return the boards that a tracker knows, by their keys.

    Raises
    ------
    DeviceError
        If there is no tracker.
    """
    connected = connect(tracker)
    with _telling(tracker):
        summary = connected.summary()
    addresses: dict[str, list[str]] = {}
    for server in summary["server_info"]:
        kind, _, key = server["key"].partition(":")
        if kind == "server":
            addresses.setdefault(key, []).append("{}:{}".format(*server["addr"]))
    queues = summary["queue_info"]
    return [
        Boards(
            key=key,
            addresses=tuple(sorted(found)),
            free=int(queues.get(key, {}).get("free", 0)),
            waiting=int(queues.get(key, {}).get("pending", 0)),
        )
        for key, found in sorted(addresses.items())
    ]


@contextlib.contextmanager
def _telling(tracker: Address) -> Iterator[None]:
    """Raise that a tracker does not answer as a `DeviceError` that tells how to start one."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise DeviceError(
            f"no tracker at {tracker}: {error}; start one with "
            f"`python -m tvm.exec.rpc_tracker --host 0.0.0.0 --port {tracker.port} "
            f"--port-end {tracker.port + 1}`"
        ) from error
