"""Candidates that go wrong: wrapped around the function with which a worker runs them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np

# Workers know only what is installed, so that this file travels to them.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def crash(library: Any) -> Any:
    """End as a wrong address ends a process."""
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(library: Any) -> Any:
    """Never come back."""
    while True:
        pass


def exhaust(library: Any) -> Any:
    """Ask for memory until there is none."""
    kept = []
    while True:
        kept.append(np.empty(1 << 27))


def err(library: Any) -> Any:
    """Add one to what the kernel computes."""

    class Wrong:
        def __getitem__(self, name: str) -> Any:
            return (lambda *args: added(*args)) if name == "main" else library[name]

    def added(*args: Any) -> None:
        library["main"](*args)
        args[-1].copyfrom(args[-1].numpy() + 1)

    return Wrong()


@dataclass(frozen=True)
class Faulty:
    """Runs candidates; the first ones after the default go wrong, each in another way."""

    usual: Callable[..., list[float]]
    faults: tuple[Callable[[Any], Any], ...]

    def __call__(self, folder: Path, library: Any, *rest: Any) -> list[float]:
        """Run one candidate, in a worker."""
        begun = len([*folder.glob("*.begun")])
        if begun < len(self.faults) and [*folder.glob("*.npy")]:
            (folder / f"{begun}.begun").touch()
            library = self.faults[begun](library)
        return self.usual(folder, library, *rest)


@dataclass(frozen=True)
class Calling:
    """Builds candidates; the first ones after the default call functions of C's library instead."""

    usual: Callable[..., Any]
    names: tuple[str, ...]

    def __call__(self, folder: Path, *rest: Any) -> Any:
        """Build one candidate, in a worker."""
        built = self.usual(folder, *rest)
        begun = len([*folder.glob("*.begun")])
        if begun == len(self.names) or not [*folder.glob("*.npy")]:
            return built
        (folder / f"{begun}.begun").touch()
        library = calling(self.names[begun], "rpi4", len(built.arguments.arrays))
        return replace(built, library=library)


def calling(name: str, target: str, number: int = 0) -> Any:
    """Return a library whose main, of a number of arguments, calls a function of C's library.

    ``abort`` ends the process, ``pause`` never comes back.
    """
    import tvm
    from tvm import tirx

    from tvm_sparse import targets

    known = targets.load(target).to_tvm()
    stop = tirx.Evaluate(tirx.call_extern("int32", name))
    attrs = {"global_symbol": "main", "tirx.is_scheduled": True, "target": known}
    params = [tirx.Var(f"x{place}", "handle") for place in range(number)]
    mod = tvm.IRModule({"main": tirx.PrimFunc(params, stop).with_attrs(attrs)})
    return tvm.compile(mod, known)
