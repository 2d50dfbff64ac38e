"""No place at all: candidates get the time that a model of their core's pipelines tells.

Each is linked to a program that runs under emulation here, with its real indices. Its output is
compared as anywhere else; see `tvm_sparse.cycles` on what the model leaves out. What threads share
is modelled as if one did all.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import tvm

from tvm_sparse.cycles import program, tools
from tvm_sparse.cycles.calls import Argument, Call
from tvm_sparse.cycles.cores import core
from tvm_sparse.cycles.elf import Elf
from tvm_sparse.cycles.model import priced
from tvm_sparse.errors import DeviceError
from tvm_sparse.rpc.about import About
from tvm_sparse.targets import Target
from tvm_sparse.tuning import candidate, provenance
from tvm_sparse.tuning.arguments import Arguments
from tvm_sparse.tuning.places.one_by_one import OneByOne
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
    DeviceError
        If a program that the model takes is missing.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.core = core(target)
        tools.demand()

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
        """Link a candidate to a program."""
        built.folder.mkdir()
        built.arguments.write(built.folder)
        return str(program.linked(built.library, built.folder).path)

    def runner(self, folder: Path) -> Any:
        """Return a runner of one candidate after the other."""
        return OneByOne(lambda path: self._seconds(path, folder))

    def _seconds(self, path: Path, shared: Path) -> list[float]:
        """Run a candidate and verify its output; return its modelled time for each repetition.

        Raises
        ------
        ValueError
            If the candidate fails.
        """
        given = Arguments.read(path.parent)
        arguments = (Argument(shape=a.shape, dtype=str(a.dtype), value=a) for a in given.arrays)
        made = Call(function=_MAIN, arguments=tuple(arguments))
        try:
            counted, output = program.compute(Elf(path), made, path.parent)
            (found,) = priced(counted, {_MAIN}, self.core).values()
        except DeviceError as error:  # what the model takes was there at first
            raise ValueError(str(error)) from error
        given.verify(output, shared)
        return [found.cycles / (self.target.ghz * 1e9)] * EVALUATOR.repeat
