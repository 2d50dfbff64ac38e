"""Measure networks: whole ones in turns, and kernel by kernel inside of one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from tvm_sparse.bench import rivals
from tvm_sparse.bench.run import runner
from tvm_sparse.bench.timing import Times, interleaved
from tvm_sparse.compiled import Compiled, load, set_threads
from tvm_sparse.frontend import import_model
from tvm_sparse.latency import LatencyTable
from tvm_sparse.profiling.in_place import InPlace
from tvm_sparse.profiling.lowered import lower
from tvm_sparse.profiling.network import prediction
from tvm_sparse.profiling.profile import simplified
from tvm_sparse.targets import Target
from tvm_sparse.tuning import scratch
from tvm_sparse.tuning.places.here import Here
from tvm_sparse.workflow.placements import Compared

_ROUNDS = (25, 8)  # of whole networks in turns, and of one whose kernels are timed
_TURNS = 16  # of two networks that are loaded again and again
_KEPT = 2**29  # bytes of networks that are loaded at a time


def in_turns(
    models: Mapping[str, Compiled],
    x: Tensor,
    threads: int,
    torch: nn.Module | None = None,
    rounds: int = 0,
) -> dict[str, Times]:
    """Return the times of compiled models on one input, and those of a model of torch.

    A single thread's clock stands still while others have its core.
    """
    set_threads(threads)
    calls: dict[str, Callable[[], object]] = {}
    if torch is not None:
        calls["torch"] = rivals.prepare("torch", torch, x, threads)
    calls |= {name: runner(model, x) for name, model in models.items()}
    if threads == 1:
        calls = {name: _Alone(call) for name, call in calls.items()}
    return interleaved(calls, rounds=rounds or _ROUNDS[0], least=0.005)


def loads(
    dense: Path, sparse: Path, x: Tensor, threads: int, fastest: float = 0.0
) -> Callable[[], Compared]:
    """Return what loads two exported networks anew and times them in turns, at each call.

    Loads before are kept, up to some memory, so that the next ones lie elsewhere.

    Parameters
    ----------
    dense, sparse : Path
    x : Tensor
        An input; each network reads a copy of its own.
    threads : int
    fastest : float
        Seconds of the dense network's fastest round, where that is known.
    """
    nbytes = dense.stat().st_size + sparse.stat().st_size
    before: deque[dict[str, Compiled]] = deque(maxlen=max(1, _KEPT // nbytes))

    def timed() -> Compared:
        both = {"dense": load(dense), "sparse": load(sparse)}
        before.append(both)
        times = in_turns(both, x, threads, rounds=_TURNS)
        return Compared(dense=(times["dense"],), sparse=(times["sparse"],), fastest=fastest)

    return timed


@dataclass(frozen=True)
class _Alone:
    """A call with a clock of its own: the time that its thread runs."""

    call: Callable[[], object]

    def __call__(self) -> object:
        """Call it."""
        return self.call()

    def seconds(self, repeats: int) -> float:
        """Return the time of some calls."""
        begin = time.thread_time()
        for _ in range(repeats):
            self.call()
        return time.thread_time() - begin


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One kernel of a network, as predicted and as measured.

    Parameters
    ----------
    name : str
        The layer's, or the operator's.
    stored : str
        How its weight is stored; empty for operators.
    predicted, measured : float
        Seconds.
    known : bool
        Whether the prediction is a measured cell of the table.
    """

    name: str
    stored: str
    predicted: float
    measured: float
    known: bool


def kernels(model: Any, x: Tensor, table: LatencyTable, target: Target) -> list[dict[str, Any]]:
    """Return every kernel of a network, with the time that it takes inside of it."""
    mod = simplified(import_model(model, (x,), None), target)
    lowered = lower(mod, target, sparse=True)
    parts = prediction(lowered, table).parts
    with scratch.folder() as folder:
        running = InPlace(Here(target), folder).build(lowered)
        for _ in range(_ROUNDS[1]):
            running.run()
    return [
        asdict(
            Kernel(
                name=part.name,
                stored=part.stored,
                predicted=float(part.latency.seconds),
                measured=float(seconds),
                known=part.latency.measured,
            )
        )
        for part, seconds in zip(parts, np.asarray(running.seconds), strict=True)
    ]
