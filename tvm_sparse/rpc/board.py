"""Run compiled models on a board, by TVM's RPC."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from tvm_sparse.compiled import Compiled
from tvm_sparse.errors import DeviceError
from tvm_sparse.rpc import fit
from tvm_sparse.rpc import tracker as trackers
from tvm_sparse.rpc.about import DESCRIBE, About
from tvm_sparse.rpc.address import Address
from tvm_sparse.rpc.gpu import Gpu

_SESSION = 120  # seconds that a session may last
Array = npt.NDArray[Any]


class Board:
    """A board that is ours until the session ends; made by `board`.

    Parameters
    ----------
    remote : tvm.rpc.RPCSession
    key : str
    """

    def __init__(self, remote: Any, key: str) -> None:
        self.key = key
        self._remote = remote
        self._sent = 0

    @property
    def about(self) -> About:
        """What the board is; raises as `about` does."""
        return about(self._remote, self.key)

    @property
    def gpu(self) -> Gpu:
        """The board's GPU; raises as `Gpu.of` does."""
        return Gpu.of(self._remote, self.key)

    def load(self, compiled: Compiled) -> Remote:
        """Send a model to the board.

        Raises
        ------
        DeviceError
            If it was compiled for another architecture, or for features that the board lacks.
        ArtifactError
            If it cannot be linked.
        """
        made = compiled.description
        fit.demand(self.about, self.key, made.target, made.triple, made.needs)
        with tempfile.TemporaryDirectory() as folder:
            library = self.library(compiled.export(Path(folder) / "model.so"))
            with losses(self.key):
                machine = relax.VirtualMachine(library, self.device)
        return Remote(machine, self.device, self.key)

    def library(self, path: Path) -> Any:
        """Send a library to the board; return it as a module of TVM's whose functions run there.

        Each gets a name of its own: a file that is loaded must not be written again.

        Raises
        ------
        DeviceError
            If the board is lost, or cannot load it.
        """
        self._sent += 1
        name = f"{self._sent}.so"
        with losses(self.key):
            self._remote.upload(str(path), name)
            return self._remote.load_module(name)

    @property
    def device(self) -> Any:
        """The board's CPU, for ``tvm.runtime.tensor``."""
        return self._remote.cpu()


class Remote:
    """A model on a board.

    Parameters
    ----------
    machine : VirtualMachine
    device : Device
    key : str
    """

    def __init__(self, machine: Any, device: Any, key: str) -> None:
        self._machine, self._device, self.key = machine, device, key

    def __call__(self, *inputs: Array) -> Array:
        """Run the model once.

        Raises
        ------
        DeviceError
            If the board is lost, or the model crashes.
        """
        with losses(self.key):
            found = self._machine["main"](*self._sent(inputs))
            return np.asarray(found.numpy())

    def seconds(self, *inputs: Array, number: int = 3, repeat: int = 3) -> list[float]:
        """Return the mean times of `repeat` times `number` runs, in seconds.

        Raises
        ------
        DeviceError
            If the board is lost, or the model crashes.
        """
        with losses(self.key):
            self._machine.set_input("main", *self._sent(inputs))
            timed = self._machine.time_evaluator(
                "invoke_stateful", self._device, number=number, repeat=repeat
            )
            return [float(time) for time in timed("main").results]

    def _sent(self, inputs: tuple[Array, ...]) -> list[Any]:
        return [tvm.runtime.tensor(np.ascontiguousarray(x), self._device) for x in inputs]


@contextlib.contextmanager
def board(key: str, tracker: Address, seconds: int = _SESSION) -> Iterator[Board]:
    """Take a board of a tracker for a session; wait while all are busy.

    At the end the board is free again, and nothing that was loaded can run any more.

    Parameters
    ----------
    key : str
        See `tvm_sparse.rpc.tracker.boards`.
    tracker : Address
    seconds : int
        After so long the board ends the session.

    Raises
    ------
    DeviceError
        If there is no tracker, or it knows no such board.
    """
    known = [one.key for one in trackers.boards(tracker)]
    if key not in known:
        raise DeviceError(
            f"the tracker {tracker} knows no board {key!r}, only {', '.join(known) or 'none'}: "
            f"on the board, run `tvm-sparse serve --tracker {tracker} --key {key}`"
        )
    with losses(key):
        remote = trackers.connect(tracker).request(key, session_timeout=seconds)
    try:
        yield Board(remote, key)
    finally:
        release(remote)


def about(remote: Any, key: str) -> About:
    """Return what a board is.

    Parameters
    ----------
    remote : tvm.rpc.RPCSession
    key : str

    Raises
    ------
    DeviceError
        If it is not served by ``tvm-sparse serve`` of this version.
    """
    try:
        return About.from_json(remote.get_function(DESCRIBE)())
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise DeviceError(
            f"board {key!r} does not tell what it is: serve it with `tvm-sparse serve` of the "
            "version that is used here"
        ) from error


def release(remote: Any) -> None:
    """End a session; TVM would hold the board for as long as there is an object on it."""
    with contextlib.suppress(RuntimeError):  # the board is lost
        remote._sess.get_function("CloseRPCConnection")()


@contextlib.contextmanager
def losses(key: str) -> Iterator[None]:
    """Raise what TVM says of a broken session as a `DeviceError` that names the board."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise DeviceError(f"lost board {key!r}: {reason}") from error
