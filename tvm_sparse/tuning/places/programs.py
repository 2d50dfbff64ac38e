"""Machines without TVM's runtime as the place where candidates run, reached by ssh or adb.

A candidate is linked into a static program, with its weights and indices. It is sent with its
inputs, runs there under a time limit, and prints its times; its output comes back and is verified.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tvm_sparse import link
from tvm_sparse.errors import DeviceError
from tvm_sparse.program import single
from tvm_sparse.program.write import link_plan
from tvm_sparse.rpc import fit
from tvm_sparse.rpc.about import About
from tvm_sparse.shells.shell import Ran, Shell
from tvm_sparse.targets import Target
from tvm_sparse.tuning import candidate, cold, provenance
from tvm_sparse.tuning.arguments import Arguments
from tvm_sparse.tuning.places.one_by_one import OneByOne
from tvm_sparse.tuning.places.place import EVALUATOR, Place

_SECONDS = 20  # that a candidate may run
_PATIENCE = 30.0  # seconds more, until the machine is given up
_WRONG_CPU, _NOT_RUN, _KILLED = 3, 126, 128  # exit statuses; the last is raised by the signal
_GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
_NAMES = ("Model", "Hardware", "model name", "CPU part")  # what /proc/cpuinfo calls a CPU's name
_ABOUT = f"uname -m; nproc; cat {_GOVERNOR} 2>/dev/null || echo unknown; cat /proc/cpuinfo"


class Programs(Place):
    """A machine that runs static programs; made by `programs`.

    Parameters
    ----------
    target : Target
    shell : Shell
    about : About
        What the machine is.
    cpus : sequence of int
        To which threads are pinned there; by default its system chooses.
    """

    def __init__(
        self, target: Target, shell: Shell, about: About, cpus: Sequence[int] = ()
    ) -> None:
        super().__init__(target)
        self.shell, self.about, self.cpus = shell, about, tuple(cpus)

    @property
    def origin(self) -> provenance.About:
        """Of the machine."""
        named = str(self.target.tvm.get("mcpu", "generic"))
        pinned = ",".join(map(str, self.cpus))
        return {**provenance.told(self.target, self.about, named), "pinned": pinned}

    def runner(self, folder: Path) -> Any:
        """Return a runner of one candidate after the other."""
        return OneByOne(lambda program: self._seconds(program, folder))

    def export(self, built: candidate.Built) -> str:
        """Link a candidate to a program."""
        built.folder.mkdir()
        built.arguments.write(built.folder)
        plan = single.plan("main", built.arguments.arrays, built.arguments.constants)
        path = built.folder / "candidate"
        link_plan(built.library, plan, single.description(plan, self.target), path)
        return str(path)

    def _seconds(self, program: Path, shared: Path) -> list[float]:
        """Run a candidate and verify its output; return the times of its repetitions.

        Raises
        ------
        DeviceError
            If the machine is lost, or runs no programs for the target.
        ValueError
            If the candidate fails.
        """
        folder = program.parent
        given = Arguments.read(folder)
        files = [program, *_inputs(given, folder)]
        names = [f"{folder.name}-{file.name}" for file in files]
        for file, name in zip(files, names, strict=True):
            self.shell.push(file, name)
        output = f"{folder.name}-y.npy"
        ran = self.shell.run(self._line(given, names, output), _SECONDS + _PATIENCE)
        if ran.status == 0:
            self.shell.pull(output, folder / "y.npy")
        self.shell.remove()
        self._check(ran)
        given.verify(np.load(folder / "y.npy"), shared)
        return [float(time) for time in json.loads(ran.output)["seconds"]]

    def _line(self, given: Arguments, names: Sequence[str], output: str) -> str:
        """Return the line of shell that runs a candidate."""
        options = {
            "--repeat": EVALUATOR.repeat,
            "--least": EVALUATOR.min_repeat_ms * 1e-3,
            "--copies": cold.copies([given.arrays[place] for place in given.constants]),
            "--threads": given.cores,
            "--limit": _SECONDS,
            **({"--cpus": ",".join(map(str, self.cpus))} if self.cpus else {}),
        }
        words = " ".join(f"{name} {value}" for name, value in options.items())
        program, *inputs = names
        return f"chmod +x {program} && ./{program} --time {words} {' '.join(inputs)} {output}"

    def _check(self, ran: Ran) -> None:
        """Raise an error if a candidate did not run to its end."""
        said = (ran.error.strip().splitlines() or ["it said nothing"])[-1]
        if ran.status in (_WRONG_CPU, _NOT_RUN):
            name = self.shell.name
            raise DeviceError(f"{name} does not run programs for {self.target.name}: {said}")
        if ran.status == _KILLED + signal.SIGALRM:
            raise ValueError(f"took longer than {_SECONDS} s")
        if ran.status > _KILLED:
            raise ValueError("crashed")
        if ran.status != 0:
            raise ValueError(said.removeprefix("error: "))


def programs(target: Target, shell: Shell, cpus: Sequence[int] = ()) -> Programs:
    """Return a machine, once it is sure that it can run a target's code.

    Raises
    ------
    DeviceError
        If it cannot be reached, has another architecture, or lacks features.
    """
    about = _about(shell.run(_ABOUT, _PATIENCE).output.decode(errors="replace"))
    kinds = [link.architecture(about.machine), link.architecture(target.triple)]
    if kinds != ["aarch64", "armv7"]:  # most 64-bit CPUs run 32-bit programs
        fit.demand(about, shell.name, target.name, target.triple, target.needs)
    return Programs(target, shell, about, cpus)


def _inputs(given: Arguments, folder: Path) -> list[Path]:
    """Write a candidate's inputs down."""
    files = []
    for place, array in enumerate(given.arrays[:-1]):
        if place not in given.constants:
            files.append(folder / f"{place}.npy")
            np.save(files[-1], array)
    return files


def _about(text: str) -> About:
    """Return what a machine says of itself; see `_ABOUT`."""
    machine, cores, governor, *lines = text.splitlines()
    pairs = [line.partition(":") for line in lines]
    found = {name.strip(): value.strip() for name, _, value in pairs}
    flags = found.get("Features") or found.get("flags") or ""
    cpu = next((found[name] for name in _NAMES if name in found), machine)
    return About(
        machine=machine,
        cpu=cpu,
        cores=int(cores),
        flags=tuple(sorted(flags.split())),
        governor=governor,
        tvm="none",
    )
