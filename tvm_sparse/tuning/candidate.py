"""Build and run one candidate, in MetaSchedule's worker processes.

The builder's worker makes the kernel that a sample stands for, and leaves the library and its
arguments in a folder of their own; the library tells its number. The runner's worker finds the
arguments by it, compares the output with the default's, and only then takes the time. What is here
runs on this machine; `tvm_sparse.tuning.places` has other machines.
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

from tvm_sparse import link
from tvm_sparse.compiled import set_threads
from tvm_sparse.implement import Implementation
from tvm_sparse.relay_passes import code_generation, gpu_pipeline
from tvm_sparse.relay_passes.schedule import ScheduleFunctions
from tvm_sparse.targets import Target
from tvm_sparse.tuning import cold, sampling
from tvm_sparse.tuning.arguments import Arguments
from tvm_sparse.tuning.task import Task

Array = npt.NDArray[Any]

_NUMBER = "number"
_UNLIKELY = -0x55555556  # every byte 0xAA


@dataclass(frozen=True, kw_only=True)
class Built:
    """A compiled candidate.

    Parameters
    ----------
    library : tvm.runtime.Executable
    folder : Path
        Its own; the builder writes into it.
    arguments : Arguments
        The input, the constants and the output.
    triple : str
        What its code is for; empty for this machine.
    """

    library: Any
    folder: Path
    arguments: Arguments
    triple: str = ""


def begin(folder: Path, tasks: list[Task]) -> None:
    """Write tasks down for the workers."""
    for task in tasks:
        (folder / f"{_name(task.identity)}.task").write_bytes(pickle.dumps(task))


def build(folder: Path, mod: tvm.IRModule, target: Any, params: Any) -> Built:
    """Compile the kernel that a sample of a workload stands for; MetaSchedule's ``f_build``."""
    name = _name(sampling.identity_of(mod))
    task = _task(folder / f"{name}.task")
    sample = sampling.sample_of(Schedule(mod))
    bound = task.implemented(sample)
    if bound is None:  # the search sends nothing that does not fit
        raise ValueError(f"not a kernel of {task.layer.key}: {task.refusal(sample)}")
    number = secrets.randbits(62)
    arguments = Arguments(
        arrays=_arrays(bound),
        constants=tuple(range(1, 1 + len(bound.constants))),
        name=name,
        cores=task.target.cores,
        tolerance=task.tolerance,
    )
    return Built(
        library=compiled(bound.func, number, task.target),
        folder=folder / str(number),
        arguments=arguments,
        triple=task.target.triple,
    )


def export(built: Built) -> str:
    """Write a candidate's library and arguments; MetaSchedule's ``f_export``."""
    built.folder.mkdir()
    built.arguments.write(built.folder)
    path = built.folder / "candidate.so"
    link.library(built.library, path, built.triple)
    return str(path)


def allocate(device: Any, args_info: Any, repeat: int) -> list[list[Any]]:
    """Return no arguments: `run` finds a candidate's own. MetaSchedule's ``f_alloc_argument``."""
    return [[]] * repeat


def run(folder: Path, library: Any, device: Any, config: Any, repeated: Any) -> list[float]:
    """Verify a candidate's output and return its times in seconds; ``f_run_evaluator``."""
    given = Arguments.read(folder / str(library[_NUMBER]()))
    use_threads(given.cores)
    arguments = _on_device(given, device)
    library["main"](*arguments[0])
    given.verify(arguments[0][-1].numpy(), folder)
    least = config.min_repeat_ms * 1e-3
    return cold.seconds(library["main"], arguments, config.repeat, least, device.sync)


def _on_device(given: Arguments, device: Any) -> list[list[Any]]:
    """Return arguments for several runs, each with constants of its own."""
    constants = [given.arrays[place] for place in given.constants]
    once = [
        None if place in given.constants else tvm.runtime.tensor(array, device)
        for place, array in enumerate(given.arrays)
    ]
    return [
        [
            tvm.runtime.tensor(array, device) if known is None else known
            for known, array in zip(once, given.arrays, strict=True)
        ]
        for _ in range(cold.copies(constants))
    ]


def compiled(func: tirx.PrimFunc, number: int, target: Target) -> Any:
    """Return a library of a scheduled kernel, ``main``, and a function that tells its number."""
    own, gpu = target.to_tvm(), target.is_gpu
    mod = tvm.IRModule({"main": func.with_attr("global_symbol", "main")})
    with own:
        passes = gpu_pipeline.schedule() if gpu else [ScheduleFunctions(target)]
        mod = tvm.transform.Sequential(passes)(mod)
    body = tirx.Return(tirx.IntImm("int64", number))
    tells = tirx.PrimFunc([], body).with_attrs(
        {
            "global_symbol": _NUMBER,
            "tirx.is_scheduled": True,
            "target": own.host if gpu else own,
        }
    )
    mod.update_func(tvm.ir.GlobalVar(_NUMBER), tells)
    return tvm.compile(
        mod, own, tir_pipeline=gpu_pipeline.LOWERING if gpu else code_generation.NAME
    )


def _arrays(bound: Implementation) -> tuple[Array, ...]:
    """Return what a kernel is called with.

    Inputs are random, always the same; a residual stands behind the constants. The output is NaN,
    or numbers that are unlikely, to be filled.
    """
    rng = np.random.default_rng(0)
    x, *others = bound.func.params
    residuals = others[len(bound.constants) : -1]
    inputs = [_random(rng, param) for param in (x, *residuals)]
    y = _like(others[-1])
    y.fill(np.nan if y.dtype.kind == "f" else _UNLIKELY)
    return (inputs[0], *bound.constants, *inputs[1:], y)


def _random(rng: np.random.Generator, param: Any) -> Array:
    """Return random floats, or words of random bytes."""
    like = _like(param)
    if like.dtype.kind == "f":
        return rng.standard_normal(like.shape, np.float32)
    return rng.integers(-(1 << 31), 1 << 31, like.shape).astype(like.dtype)


def _like(param: Any) -> Array:
    return np.empty([int(size) for size in param.shape], str(param.dtype))


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
