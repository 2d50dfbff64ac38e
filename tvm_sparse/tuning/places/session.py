"""Run candidates on a board, in a session of their own; RPCRunner's functions, in its workers.

A worker whose board does not answer any more ends itself. Constants are out of the board's caches
when a run begins, as they are in a network; see `tvm_sparse.tuning.cold`.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tvm

from tvm_sparse.errors import DeviceError
from tvm_sparse.rpc import board, tracker
from tvm_sparse.rpc.about import DESCRIBE, About
from tvm_sparse.rpc.address import Address
from tvm_sparse.tuning.arguments import Arguments
from tvm_sparse.tuning.places.place import lost

GROUP = "group.json"  # a list of candidates that share a session
NO_SESSION = "no session"  # what is told of candidates that did not get as far as to run
_WAIT = 90.0  # seconds for a board to become free
_SLACK = 15.0  # seconds beyond the session's end, in which a board answers if it is alive
_COLD = "cache_flush_cpu_non_first_arg"  # TVM's; the first argument is the input
_ALL_CORES = 1  # TVM's affinity: the fastest cores first
_RUNS = 1000  # of a repetition, at most


@dataclass(frozen=True)
class Sent:
    """A candidate on a board.

    Parameters
    ----------
    library : tvm.runtime.Module
        Its functions run there.
    arguments : Arguments
    """

    library: Any
    arguments: Arguments


def open_(about: About, config: Any) -> Any:
    """Return a session on a board; ``f_create_session``.

    Parameters
    ----------
    about : About
        What the board must be.
    config : RPCConfig
    """
    address, key = Address(config.tracker_host, config.tracker_port), config.tracker_key
    with _telling(f"{NO_SESSION} on a board {key!r}"):
        _await_free(address, key)
        signal.setitimer(signal.ITIMER_REAL, config.session_timeout_sec + _SLACK)
        session = tracker.connect(address).request(
            key, session_timeout=config.session_timeout_sec, max_retry=1
        )
        found = board.about(session, key)
    if found != about:
        raise DeviceError(lost(f"a board {key!r} is of another kind now: {found.to_json()}"))
    return session


def send(session: Any, local: str, name: str) -> list[Sent]:
    """Send a candidate to the board, or those of a group; ``f_upload_module``."""
    paths = [Path(local)]
    if name == GROUP:
        paths = [Path(path) for path in json.loads(paths[0].read_text())]
    found = []
    for number, path in enumerate(paths):
        with _blaming(session):
            session.upload(str(path), f"{number}.so")
            library = session.load_module(f"{number}.so")
        found.append(Sent(library, Arguments.read(path.parent)))
    return found


def allocate(session: Any, device: Any, args_info: Any, repeat: int) -> list[list[Any]]:
    """Return no arguments: a candidate has its own; ``f_alloc_argument``."""
    return [[]] * repeat


def run(
    folder: Path,
    is_gpu: bool,
    session: Any,
    sent: Sequence[Sent],
    device: Any,
    config: Any,
    repeated: Any,
) -> list[float]:
    """Verify outputs and return times in seconds, one candidate's after the other's.

    RPCRunner's ``f_run_evaluator``; the folder holds outputs that others are compared with. What
    a GPU has in its caches stays there.
    """
    session.get_function("runtime.config_threadpool")(_ALL_CORES, sent[0].arguments.cores)
    ready = []
    for one in sent:
        with _blaming(session):
            tensors = [tvm.runtime.tensor(array, device) for array in one.arguments.arrays]
            one.library["main"](*tensors)
            output = tensors[-1].numpy()
        one.arguments.verify(output, folder)
        ready.append((one.library, tensors))
    with _blaming(session):
        cold = "" if is_gpu else _COLD
        return [one for pair in ready for one in _seconds(*pair, device, config, cold)]


def close(session: Any, name: str | None) -> None:
    """End a session; ``f_cleanup``."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    if session is not None:
        board.release(session)


def _seconds(
    library: Any, tensors: Sequence[Any], device: Any, config: Any, cold: str
) -> list[float]:
    """Return the median time of a run in each repetition; the board itself takes the time."""

    def times(number: int) -> Sequence[float]:
        timed = library.time_evaluator("main", device, number=1, repeat=number, f_preproc=cold)
        found: Sequence[float] = timed(*tensors).results
        return found

    (once,) = times(1)
    number = min(max(1, math.ceil(config.min_repeat_ms * 1e-3 / max(once, 1e-7))), _RUNS)
    every = np.reshape(times(number * config.repeat), (config.repeat, number))
    return [float(one) for one in np.median(every, axis=1)]


def _await_free(address: Address, key: str) -> None:
    """Wait until a board is free; a request would wait on when the last one is gone."""
    ends = time.monotonic() + _WAIT
    while time.monotonic() < ends:
        known = next((one for one in tracker.boards(address) if one.key == key), None)
        if known is None:
            raise DeviceError("the tracker knows none")
        if known.free:
            return
        time.sleep(0.2)
    raise DeviceError(f"none was free for {_WAIT:g} s")


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Raise what goes wrong before a candidate runs as no fault of its own."""
    try:
        yield
    except (RuntimeError, OSError, DeviceError) as error:
        raise DeviceError(lost(f"{what}: {_last_line(error)}")) from error


@contextmanager
def _blaming(session: Any) -> Iterator[None]:
    """Raise what goes wrong: an error of the candidate's if the session still answers."""
    try:
        yield
    except (RuntimeError, OSError, ValueError, TypeError, AttributeError) as error:
        if "session has expired" in str(error):  # TVM's server has ended it
            raise TimeoutError(_last_line(error)) from error
        try:
            session.get_function(DESCRIBE)()
        except (RuntimeError, OSError, AttributeError):
            raise DeviceError(lost(_last_line(error))) from error
        raise


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no answer"])[-1]
