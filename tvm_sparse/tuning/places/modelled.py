"""No place at all: candidates get the time that a model of their core's pipelines tells.

Each is linked to a program that runs under emulation here, with its real indices. Its output is
compared as anywhere else; see `tvm_sparse.cycles` on what the model leaves out. Candidates that
threads share are modelled as if one did all.
"""

# mypy: ignore-errors
from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import tvm
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from tvm_sparse.cycles import program
from tvm_sparse.cycles.calls import Argument, Call
from tvm_sparse.cycles.cores import core
from tvm_sparse.cycles.elf import Elf
from tvm_sparse.cycles.model import priced
from tvm_sparse.errors import DeviceError
from tvm_sparse.rpc.about import About
from tvm_sparse.targets import Target
from tvm_sparse.tuning import candidate, provenance
from tvm_sparse.tuning.arguments import Arguments
from tvm_sparse.tuning.places.place import EVALUATOR, Place

_MAIN = "main"


class ModelledCore(Place):
    """A core that cycles are modelled for; see `Place`.

    Parameters
    ----------
    target : Target

    Raises
    ------
    TargetError
        If there is no model of its core.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.core = core(target)

    @property
    def origin(self) -> provenance.About:
        """Of a model."""
        machine = About(
            machine=platform.machine(),
            cpu=f"{self.core}, modelled cycles",
            cores=self.target.cores,
            flags=self.target.needs,
            tvm=str(tvm.__version__),
        )
        return provenance.told(self.target, machine, self.core)

    def export(self, built: candidate.Built) -> str:
        """Write a candidate's program and arguments."""
        built.folder.mkdir()
        built.arguments.write(built.folder)
        return str(program.linked(built.library, built.folder).path)

    def runner(self, folder: Path) -> Any:
        """Return a runner that models one candidate after the other."""
        return Modelling(self.target, folder)


@derived_object
class Modelling(ms.runner.PyRunner):
    """A runner that tells modelled seconds.

    Parameters
    ----------
    target : Target
    folder : Path
        For first outputs.
    """

    def __init__(self, target: Target, folder: Path) -> None:
        super().__init__()
        self.target, self.folder = target, folder

    def run(self, runner_inputs: list[Any]) -> list[Any]:
        """Model candidates."""
        return [_Told(self._result(Path(str(one.artifact_path)))) for one in runner_inputs]

    def _result(self, path: Path) -> Any:
        try:
            seconds = modelled_seconds(path, self.target, self.folder)
        except (DeviceError, ValueError) as error:
            return ms.runner.RunnerResult(None, str(error))
        return ms.runner.RunnerResult([seconds] * EVALUATOR.repeat, None)


@derived_object
class _Told(ms.runner.PyRunnerFuture):
    """A result that is known already."""

    def __init__(self, known: Any) -> None:
        super().__init__()
        self.known = known

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        return self.known


def modelled_seconds(path: Path, target: Target, shared: Path) -> float:
    """Return the modelled seconds of a candidate, whose output must be right.

    Parameters
    ----------
    path : Path
        Of its program, in the folder with its arguments.
    target : Target
    shared : Path
        A folder for first outputs.

    Raises
    ------
    DeviceError
        If it cannot be run.
    ValueError
        If its output differs from that of the first candidate of its task.
    """
    given = Arguments.read(path.parent)
    arrays = given.arrays
    made = Call(
        function=_MAIN,
        arguments=tuple(Argument(shape=a.shape, dtype=str(a.dtype), value=a) for a in arrays),
    )
    counted, output = program.compute(Elf(path), made, path.parent)
    given.verify(output, shared)
    (found,) = priced(counted, {_MAIN}, core(target)).values()
    return found.cycles / (target.ghz * 1e9)
