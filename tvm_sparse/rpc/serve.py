"""A board's side of TVM's RPC: a server that outlives what runs on it.

Needs Python and the stock TVM wheel alone, of which the runtime library is enough. TVM's own server
does the work; its loop ends when a session crashes, and when the tracker stays away for a minute.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import tvm_ffi
from tvm.rpc import server

from tvm_sparse.errors import DeviceError
from tvm_sparse.rpc import gpu
from tvm_sparse.rpc.about import DESCRIBE, About
from tvm_sparse.rpc.address import Address

_PORTS = 100  # that are tried from the first one on
_PAUSE = 5.0  # seconds until a lost tracker is asked again

_log = logging.getLogger("tvm_sparse.serve")


def serve(tracker: Address, key: str, host: str = "0.0.0.0", port: int = 9090) -> None:
    """Offer this machine to a tracker, until Ctrl-C.

    A session whose code crashes ends alone. While the tracker is away it is asked again and again.

    Parameters
    ----------
    tracker : Address
        Of ``python -m tvm.exec.rpc_tracker``.
    key : str
        What boards of this kind are called, e.g. ``rpi4``.
    host : str
        Address to listen on.
    port : int
        The first of a hundred that are tried.

    Raises
    ------
    DeviceError
        If no port is free.
    """
    tvm_ffi.register_global_func(DESCRIBE, lambda: About.here().to_json(), override=True)
    tvm_ffi.register_global_func(gpu.DESCRIBE, lambda: gpu.Gpu.here().to_json(), override=True)
    server._serving = _outliving(server._serving)
    while True:
        state = _listening(tracker, key, host, port)
        _log.info("%s listens on %s:%d, tracker %s", key, host, state.port, tracker)
        state.thread.join()
        state.sock.close()
        _log.warning("the tracker %s is away; asked again", tracker)
        time.sleep(_PAUSE)


def _listening(tracker: Address, key: str, host: str, port: int) -> Any:
    try:
        return server.PopenRPCServerState(
            host, port, port + _PORTS, tracker_addr=tuple(tracker), key=key, silent=True
        )
    except (OSError, ValueError) as error:
        raise DeviceError(f"cannot listen on {host}, ports from {port}: {error}") from error


def _outliving(serving: Callable[..., None]) -> Callable[..., None]:
    """Return TVM's function that serves one session, so that a crash ends the session only."""

    def safe(sock: socket.socket, address: Any, options: Any, library: Any) -> None:
        folder = os.getcwd()
        try:
            serving(sock, address, options, library)
        except RuntimeError as error:
            _log.warning("a session crashed: %s", error)
            os.chdir(folder)
            sock.close()

    return safe
