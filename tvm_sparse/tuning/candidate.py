"""Build and run one candidate, in MetaSchedule's worker processes.

The builder's worker makes the kernel that a sample stands for, and leaves the library and its
arguments in a folder of their own; the library tells its number. The runner's worker finds the
arguments by it, compares the output with the default's, and only then takes the time.
"""

from __future__ import annotations

import hashlib
import pickle
import secrets
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import tirx
from tvm.s_tir import Schedule

from tvm_sparse import implement, link
from tvm_sparse.compiled import set_threads
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.relay_passes.schedule import ScheduleFunctions
from tvm_sparse.targets import Target
from tvm_sparse.tuning import cold, sampling
from tvm_sparse.tuning.task import Task

Array = npt.NDArray[Any]

_NUMBER = "number"
_CLOSE = 1e-4  # of the largest output


@dataclass(frozen=True, kw_only=True)
class Built:
    """A compiled candidate.

    Parameters
    ----------
    library : tvm.runtime.Executable
    folder : Path
        Its own; the builder writes into it.
    arguments : dict of str to array
        The input, the constants and an empty output, in order, and the task's name.
    """

    library: Any
    folder: Path
    arguments: dict[str, Array]


def begin(folder: Path, tasks: list[Task]) -> None:
    """Write tasks down for the workers."""
    for task in tasks:
        (folder / f"{_name(task.identity)}.task").write_bytes(pickle.dumps(task))


def build(folder: Path, mod: tvm.IRModule, target: Any, params: Any) -> Built:
    """Compile the kernel that a sample of a workload stands for; MetaSchedule's ``f_build``."""
    name = _name(sampling.identity_of(mod))
    task = _task(folder / f"{name}.task")
    choice = task.chosen(sampling.sample_of(Schedule(mod)))
    assert choice is not None  # what does not fit is not sent to be built
    bound = implement.chosen(choice, task.weight)
    number = secrets.randbits(62)
    arrays = [*_ends(bound.func)]
    arrays[1:1] = bound.constants
    arguments = {str(i): array for i, array in enumerate(arrays)}
    return Built(
        library=_compiled(bound.func, number, task.target),
        folder=folder / str(number),
        arguments={**arguments, "task": np.array(name), "cores": np.array(task.target.cores)},
    )


def export(built: Built) -> str:
    """Write a candidate's library and arguments; MetaSchedule's ``f_export``."""
    built.folder.mkdir()
    np.savez(built.folder / "arguments.npz", **built.arguments)  # type: ignore[arg-type]
    path = built.folder / "candidate.so"
    link.library(built.library, path)
    return str(path)


def allocate(device: Any, args_info: Any, repeat: int) -> list[list[Any]]:
    """Return no arguments: `run` finds a candidate's own. MetaSchedule's ``f_alloc_argument``."""
    return [[]] * repeat


def run(folder: Path, library: Any, device: Any, config: Any, repeated: Any) -> list[float]:
    """Verify a candidate's output and return its times in seconds; ``f_run_evaluator``."""
    with np.load(folder / str(library[_NUMBER]()) / "arguments.npz") as file:
        arrays = [file[key] for key in file.files if key.isdigit()]
        name, cores = str(file["task"]), int(file["cores"])
    use_threads(cores)
    x, *constants, y = arrays
    ends = [tvm.runtime.tensor(array, device) for array in (x, y)]
    arguments = [
        [ends[0], *(tvm.runtime.tensor(array, device) for array in constants), ends[1]]
        for _ in range(cold.copies(constants))
    ]
    library["main"](*arguments[0])
    _verify(folder / f"{name}.npy", ends[1].numpy())
    return cold.seconds(library["main"], arguments, config.repeat, config.min_repeat_ms * 1e-3)


def _verify(expected: Path, output: Array) -> None:
    """Compare an output with the first one of its task, which is the default's."""
    if not expected.exists():
        np.save(expected, output)
        return
    right = np.load(expected)
    error = float(np.abs(output - right).max() / max(float(np.abs(right).max()), 1e-30))
    if not error <= _CLOSE:  # NaN is wrong as well
        raise ValueError(f"wrong output: relative error {error:.1e}, at most {_CLOSE} is allowed")


def _compiled(func: tirx.PrimFunc, number: int, target: Target) -> Any:
    """Return a library of a scheduled kernel, ``main``, and a function that tells its number."""
    mod = tvm.IRModule({"main": func.with_attr("global_symbol", "main")})
    scheduling = tvm.transform.Sequential([ScheduleFunctions(target)])
    mod = scheduling(mod)
    body = tirx.Return(tirx.IntImm("int64", number))
    tells = tirx.PrimFunc([], body).with_attrs(
        {"global_symbol": _NUMBER, "tirx.is_scheduled": True, "target": target.to_tvm()}
    )
    mod.update_func(tvm.ir.GlobalVar(_NUMBER), tells)
    return tvm.compile(mod, target.to_tvm(), tir_pipeline=code_generation.NAME)


def _ends(func: tirx.PrimFunc) -> tuple[Array, Array]:
    """Return an input of random numbers, always the same, and an output of NaN, to be filled."""
    x, y = (func.params[i].shape for i in (0, -1))
    rng = np.random.default_rng(0)
    given = rng.standard_normal([int(size) for size in x], np.float32)
    return given, np.full([int(size) for size in y], np.nan, np.float32)


@lru_cache(maxsize=1)
def _task(path: Path) -> Task:
    task: Task = pickle.loads(path.read_bytes())
    return task


@lru_cache(maxsize=1)
def use_threads(number: int) -> None:
    """Let this process use a number of threads; deciding it anew takes time."""
    set_threads(number)


def _name(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:16]
