"""Static executables, run under emulation."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm

from support import emulated
from tvm_sparse.program import single
from tvm_sparse.program.plan import Call, Plan, Tensor
from tvm_sparse.program.write import link_plan
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.relay_passes.schedule import ScheduleFunctions
from tvm_sparse.targets import Target

Array = npt.NDArray[np.generic]
# The emulator and the CPU that it stands for, by the target of the model.
BOARDS = {
    "rpi4": ("aarch64", "cortex-a72"),
    "armv7": ("arm", "cortex-a7"),
    "rpi5": ("aarch64", "cortex-a76"),
    "android": ("aarch64", "cortex-a76"),
    "graviton3": ("aarch64", "max"),
}


def call(program: Path, *options: str, target: str = "rpi4") -> subprocess.CompletedProcess[str]:
    """Run a program with options, in its own folder."""
    machine, cpu = BOARDS[target]
    command = [emulated.qemu(machine), "-cpu", cpu, str(program), *options]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=program.parent, timeout=300
    )


def of_kernels(
    kernels: Sequence[tuple[Any, Sequence[Array]]], target: Target, folder: Path
) -> list[Array]:
    """What kernels compute, in one program that calls them one after the other.

    Each is a function, with what it is called with, its output last.
    """
    functions, calls = {}, []
    for number, (func, (*given, out)) in enumerate(kernels):
        symbol = f"kernel{number}"
        functions[symbol] = func.with_attr("global_symbol", symbol)
        read = [Tensor(shape=one.shape, dtype=str(one.dtype), value=one) for one in given]
        y = Tensor(shape=out.shape, dtype=str(out.dtype))
        calls.append(Call(kernel=symbol, tensors=(*read, y)))
    mod = tvm.transform.Sequential([ScheduleFunctions(target)])(tvm.IRModule(functions))
    built = tvm.compile(mod, target.to_tvm(), tir_pipeline=code_generation.NAME)
    plan = Plan(calls=tuple(calls), inputs=(), outputs=tuple(one.tensors[-1] for one in calls))
    path = folder / "kernels"
    link_plan(built, plan, single.description(plan, target), path)
    path.chmod(0o755)
    return outputs(path, [], len(calls), target=target.name)


def outputs(
    program: Path, inputs: Sequence[Array], count: int, *options: str, target: str = "rpi4"
) -> list[Array]:
    """What a program computes from its inputs."""
    files = [program.with_name(f"{program.name}.{i}.npy") for i in range(len(inputs) + count)]
    for file, array in zip(files, inputs, strict=False):
        np.save(file, array)
    done = call(program, *options, *map(str, files), target=target)
    assert done.returncode == 0, done.stderr
    return [np.load(file) for file in files[len(inputs) :]]
