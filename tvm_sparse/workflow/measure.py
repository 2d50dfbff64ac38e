"""Measure networks: whole ones in turns, and kernel by kernel inside of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from tvm_sparse.bench.run import runner
from tvm_sparse.bench.timing import Times, interleaved
from tvm_sparse.compiled import Compiled, set_threads
from tvm_sparse.frontend import import_model
from tvm_sparse.latency import LatencyTable
from tvm_sparse.profiling.in_place import InPlace
from tvm_sparse.profiling.lowered import lower
from tvm_sparse.profiling.network import prediction
from tvm_sparse.profiling.profile import simplified
from tvm_sparse.targets import Target
from tvm_sparse.tuning import scratch
from tvm_sparse.tuning.places.here import Here

_ROUNDS = (25, 8)  # of whole networks in turns, and of one whose kernels are timed


def in_turns(models: Mapping[str, Compiled], x: Tensor, threads: int) -> dict[str, Times]:
    """Return the times of compiled models on one input."""
    set_threads(threads)
    calls = {name: runner(model, x) for name, model in models.items()}
    return interleaved(calls, rounds=_ROUNDS[0], least=0.005)


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
