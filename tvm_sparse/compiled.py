"""A compiled model: call it, look at its report, write it to a file."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import tvm
from tvm import relax

from tvm_sparse import artifact, link
from tvm_sparse.artifact import Description, TensorInfo
from tvm_sparse.errors import ArtifactError, InputError, TargetError
from tvm_sparse.program import write as program
from tvm_sparse.report import Report
from tvm_sparse.targets import native
from tvm_sparse.targets.vulkan import describe

Kind = Literal["library", "executable"]


class Compiled:
    """A model ready to run on this machine.

    Made by `tvm_sparse.build` and `tvm_sparse.load`. Takes numpy arrays or torch tensors and
    returns the same kind. Calls from several threads wait for each other.

    Parameters
    ----------
    library : tvm.runtime.Executable or Module
    description : Description
    mod : IRModule, optional
        The module before code generation, for inspection.
    origin : Path, optional
        The file that the model was loaded from.
    """

    def __init__(
        self,
        library: Any,
        description: Description,
        mod: tvm.IRModule | None = None,
        origin: Path | None = None,
    ) -> None:
        self._library = library
        self._origin = origin
        self._machine: Any = None
        self._lock = threading.Lock()
        self.description = description
        self.mod = mod

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """Names, shapes and dtypes of the inputs."""
        return self.description.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """Names, shapes and dtypes of the outputs."""
        return self.description.outputs

    @property
    def report(self) -> Report:
        """What was found in each layer, what was chosen, and why."""
        return Report.from_json(self.description.report)

    def __call__(self, *inputs: Any) -> Any:
        """Run the model.

        Parameters
        ----------
        *inputs : numpy arrays or torch tensors
            As `inputs` says.

        Returns
        -------
        array or tensor, or a tuple of them

        Raises
        ------
        InputError
            If the number, a shape or a dtype of the inputs is not as compiled.
        """
        arrays = self._checked(inputs)
        with self._lock:
            main, device = self.main, self.device
            outputs = main(*[tvm.runtime.tensor(array, device) for array in arrays])
        like_torch = any(type(x).__module__.split(".")[0] == "torch" for x in inputs)
        return _converted(outputs, like_torch)

    @property
    def device(self) -> Any:
        """The device that the model runs on, as TVM names it."""
        return tvm.device(self.description.device)

    @property
    def main(self) -> Any:
        """The model as a function of TVM tensors on `device`, without checks or conversions."""
        if self._machine is None:
            _demand_machine(self.description)
            missing = [flag for flag in self.description.needs if flag not in native.cpu_flags()]
            if missing:
                raise TargetError(
                    f"compiled for {self.description.target}, which needs {', '.join(missing)}; "
                    "this CPU lacks that: build for target='x86' here"
                )
            if not _threads_chosen:
                set_threads(native.cores())
            if self.description.device == "vulkan":
                describe.demand()
            self._machine = relax.VirtualMachine(self._library, self.device)
        return self._machine["main"]

    def export(self, path: str | os.PathLike[str], kind: Kind = "library") -> Path:
        """Write one file that runs without this package.

        A library for the stock TVM runtime::

            vm = relax.VirtualMachine(tvm.runtime.load_module("model.so"), tvm.cpu())
            y = vm["main"](tvm.runtime.tensor(x))

        An executable needs nothing; ``./model --help`` tells more::

            ./model input.npy output.npy

        Parameters
        ----------
        path : str or path
            Where to write it; an existing file is replaced once the new one is complete.
        kind : {"library", "executable"}
            An executable is linked statically, with ziglang (``tvm-sparse[arm]``).

        Returns
        -------
        Path

        Raises
        ------
        ArtifactError
            If the file cannot be written or linked; if the kind is unknown, or an executable is
            asked of a loaded library.
        ModelError
            If the model calls functions of TVM's runtime, of which an executable has none.
        """
        target = Path(path)
        if kind not in get_args(Kind):
            raise ArtifactError(f"expected kind 'library' or 'executable', got {kind!r}")
        if self._origin is not None and kind == "library":
            artifact.copy(self._origin, target)
        else:
            about = replace(self.description, kind=kind)
            artifact.write(self._linking(about), about, target)
        return target

    def _linking(self, about: Description) -> Callable[[Path], None]:
        """Return what links a file of a kind."""
        if about.kind == "library":
            return partial(link.library, self._library, triple=about.triple)
        if about.device != "cpu":
            raise ArtifactError(
                f"an executable runs on CPUs, the model was compiled for {about.device}: export a "
                "library, or build it for another target"
            )
        if self.mod is None:
            raise ArtifactError(
                f"an executable cannot be made of {self._origin}, which is linked already: "
                "export it from the model that tvm_sparse.build returns"
            )
        return partial(program.write, self._library, self.mod, about)

    def _checked(self, inputs: tuple[Any, ...]) -> list[Any]:
        if len(inputs) != len(self.inputs):
            expected = "; ".join(map(str, self.inputs))
            raise InputError(f"expected {len(self.inputs)} inputs ({expected}), got {len(inputs)}")
        arrays = []
        for info, value in zip(self.inputs, inputs, strict=True):
            array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
            if array.shape != info.shape or str(array.dtype) != info.dtype:
                raise InputError(
                    f"input {info.name!r} must be {info.dtype} {info.shape}, "
                    f"got {array.dtype} {array.shape}"
                )
            arrays.append(np.ascontiguousarray(array))
        return arrays


_threads_chosen: list[int] = []


def load(path: str | os.PathLike[str]) -> Compiled:
    """Load a file that `Compiled.export` wrote.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged, or was not exported by this package.
    TargetError
        If it was compiled for another kind of machine; when the model is called, if the CPU lacks
        features it was compiled for.
    """
    file = Path(path)
    description = artifact.read(file)
    if description.kind == "executable":
        raise ArtifactError(f"{file} is an executable: run it, see {file} --help")
    _demand_machine(description)
    try:
        with link.quiet_stderr():
            library = link.load(file.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise ArtifactError(
            f"TVM {tvm.__version__} cannot load {file} (exported with TVM "
            f"{description.tvm_version}): {error}"
        ) from error
    return Compiled(library, description, origin=file.resolve())


def _demand_machine(description: Description) -> None:
    if link.is_foreign(description.triple):
        raise TargetError(
            f"compiled for {description.target} ({description.triple}), and this machine is "
            f"{link.architecture()}: run the exported file there, or build for target='x86' here"
        )


def set_threads(number: int) -> None:
    """Let compiled models use this many threads; TVM's own default is half of the cores.

    The first call decides how many there can be at most.
    """
    _threads_chosen.append(number)
    cpus = [str(cpu) for cpu in sorted(os.sched_getaffinity(0))]
    share_all_cores = -3
    tvm.get_global_func("runtime.config_threadpool")(share_all_cores, number, cpus)


def _converted(outputs: Any, like_torch: bool) -> Any:
    if not hasattr(outputs, "numpy"):
        return tuple(_converted(output, like_torch) for output in outputs)
    array = outputs.numpy()
    if not like_torch:
        return array
    import torch

    return torch.from_numpy(array)
