"""Static executables, run under emulation."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from support import emulated

Array = npt.NDArray[np.generic]
# The emulator and the CPU that it stands for, by the target of the model.
BOARDS = {
    "rpi4": ("aarch64", "cortex-a72"),
    "armv7": ("arm", "cortex-a7"),
    "rpi5": ("aarch64", "cortex-a76"),
    "android": ("aarch64", "cortex-a76"),
}


def call(program: Path, *options: str, target: str = "rpi4") -> subprocess.CompletedProcess[str]:
    """Run a program with options, in its own folder."""
    machine, cpu = BOARDS[target]
    command = [emulated.qemu(machine), "-cpu", cpu, str(program), *options]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=program.parent, timeout=300
    )


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
