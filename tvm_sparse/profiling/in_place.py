"""Measure every kernel of a model inside the model, in MetaSchedule's runner.

A kernel alone in a loop finds its input, its output and often its weights in the caches that it
filled itself. Inside a network others have been there since. So the network runs as a whole, and
its virtual machine notes when each kernel begins and ends.

Caches are indexed by physical addresses, so that it is a matter of luck how much of a large tensor
they hold, a fifth of a kernel's time at worst. Every round draws new pages. A single thread's clock
stands still while others have its core.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm.s_tir import meta_schedule as ms

from tvm_sparse import link
from tvm_sparse.errors import DatabaseError
from tvm_sparse.profiling import stamps
from tvm_sparse.profiling.lowered import Called, Lowered
from tvm_sparse.profiling.rounds import Rounds
from tvm_sparse.relay_passes import code_generation, expr, pipeline
from tvm_sparse.relay_passes.schedule import ScheduleFunctions
from tvm_sparse.targets import Target
from tvm_sparse.tuning import candidate, worker
from tvm_sparse.tuning.places.place import Place

_TIMEOUT = 300.0
_BALLAST = 32 << 20  # bytes that push a round's tensors to other pages, at most


class InPlace:
    """Times kernels inside of the networks that call them, on this machine.

    Parameters
    ----------
    place : Place
        The machine at hand.
    scratch : Path
        A folder for libraries, and for what the worker leaves.
    """

    name = "in place"

    def __init__(self, place: Place, scratch: Path) -> None:
        self._target, self._scratch = place.target, scratch
        self._built = 0
        self._runner = ms.runner.LocalRunner(
            timeout_sec=_TIMEOUT,
            f_alloc_argument=allocate,
            f_run_evaluator=partial(run, place.target.cores),
            initializer=partial(worker.prepare, scratch),
        )

    def build(self, lowered: Lowered, wanted: Sequence[Called] = ()) -> Rounds:
        """Return a lowered model, compiled; all of its kernels are timed, not just those wanted."""
        path = self._scratch / f"{self._built}.so"
        self._built += 1
        _build(lowered, self._target, path)
        return Running(lowered, path, self._runner)


def _build(lowered: Lowered, target: Target, path: Path) -> None:
    """Compile a lowered model to a library at a path."""
    with target.to_tvm():
        passes = [ScheduleFunctions(target), *pipeline.finish()]
        mod = tvm.transform.Sequential(passes)(lowered.mod)
    library = tvm.compile(
        mod, target.to_tvm(), relax_pipeline=None, tir_pipeline=code_generation.NAME
    )
    link.library(library, path)


class Running(Rounds):
    """A built model; see `Rounds`.

    Parameters
    ----------
    lowered : Lowered
    path : Path
        Its library.
    runner : LocalRunner
    """

    def __init__(self, lowered: Lowered, path: Path, runner: Any) -> None:
        super().__init__(lowered.calls)
        self._path, self._runner = path, runner
        self._inputs = [
            ms.arg_info.TensorInfo(str(param.ty.dtype), expr.shape(param))
            for param in lowered.mod["main"].params
        ]

    def run(self) -> None:
        """Run the model for a fifth of a second."""
        given = ms.runner.RunnerInput(str(self._path), "cpu", self._inputs)
        (future,) = self._runner.run([given])
        result = future.result()
        if result.error_msg is not None:
            reason = str(result.error_msg).strip().splitlines()[-1]
            raise DatabaseError(f"a profiled network could not be run: {reason}")
        times = np.array([float(seconds) for seconds in result.run_secs])
        if len(times) != len(self.calls):
            raise DatabaseError(
                f"expected times of {len(self.calls)} kernels, got {len(times)}: this is a bug, "
                "please report it with the model"
            )
        self.rounds.append(times)

    def remove(self) -> None:
        """Remove the library."""
        self._path.unlink()


def allocate(device: Any, args_info: Any, repeat: int) -> list[list[Any]]:
    """Return inputs: random numbers, or zeros where they are whole numbers."""
    rng = np.random.default_rng(0)
    arrays = []
    for info in (ms.arg_info.TensorInfo.from_json(one) for one in args_info):
        shape, dtype = [int(size) for size in info.shape], np.dtype(str(info.dtype))
        drawn = rng.standard_normal(shape, np.float32) if dtype.kind == "f" else np.zeros(shape)
        arrays.append(tvm.runtime.tensor(drawn.astype(dtype), device))
    return [arrays] * repeat


def run(cores: int, library: Any, device: Any, config: Any, repeated: Any) -> list[float]:
    """Return the seconds of each kernel; MetaSchedule's ``f_run_evaluator``."""
    candidate.use_threads(cores)
    ballast = np.ones(secrets.randbelow(_BALLAST), np.uint8)
    now = time.thread_time_ns if cores == 1 else time.perf_counter_ns
    times = stamps.timed(library, device, repeated[0], now)
    tvm.get_global_func("vm.builtin.memory_manager.clear")()
    del ballast
    return times
