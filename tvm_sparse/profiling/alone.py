"""Measure every kernel of a model alone, as tuning's candidates: for places that run no networks.

A kernel alone finds its input in the caches, which is where the kernel before it leaves it in a
network, unless it is large. Its constants are out of them, as they are there.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tvm import ir
from tvm.s_tir import meta_schedule as ms

from tvm_sparse.errors import DatabaseError, DeviceError
from tvm_sparse.profiling.lowered import Called, Lowered, kernels
from tvm_sparse.profiling.rounds import Rounds
from tvm_sparse.relay_passes import expr
from tvm_sparse.tuning import candidate, failures
from tvm_sparse.tuning.arguments import Arguments, Array
from tvm_sparse.tuning.places.place import Place, is_lost, reason_lost, run


class Alone:
    """Times kernels one by one at a place.

    Parameters
    ----------
    place : Place
    scratch : Path
        A folder for candidates and their outputs.
    """

    name = "alone"

    def __init__(self, place: Place, scratch: Path) -> None:
        self._place, self._scratch = place, scratch
        self._runner = place.runner(scratch)

    def build(self, lowered: Lowered, wanted: Sequence[Called]) -> Rounds:
        """Return the kernels that are wanted of a lowered model, compiled."""
        found = [
            (call, self._place.export(self._built(lowered, *kernel)))
            for call, kernel in zip(lowered.calls, kernels(lowered.mod), strict=True)
            if any(call is one for one in wanted)
        ]
        calls, paths = [call for call, _ in found], [path for _, path in found]
        return Kernels(calls, paths, self._runner, self._place.device)

    def _built(self, lowered: Lowered, name: str, args: list[Any], out: Any) -> candidate.Built:
        target, number = self._place.target, secrets.randbits(62)
        constants = tuple(i for i, arg in enumerate(args) if isinstance(arg, ir.GenericConst))
        arguments = Arguments(
            arrays=(*map(_given, args), *_outputs(out.ty)),
            constants=constants,
            name=str(number),
            cores=target.cores,
        )
        return candidate.Built(
            library=candidate.compiled(lowered.mod[name], number, target),
            folder=self._scratch / str(number),
            arguments=arguments,
            triple=target.triple,
        )


class Kernels(Rounds):
    """Kernels that run alone; see `Rounds`.

    Parameters
    ----------
    calls : list of Called
    paths : list of str
        What the place made of each.
    runner : PyRunner
    device : str
        See `Place.device`.
    """

    def __init__(self, calls: list[Called], paths: list[str], runner: Any, device: str) -> None:
        super().__init__(calls)
        self._paths, self._runner, self._device = paths, runner, device

    def run(self) -> None:
        """Run each kernel, as many at a time as the place can."""
        results = run(self._runner, self._paths, self._device)
        for call, result in zip(self.calls, results, strict=True):
            error = result.error_msg
            if is_lost(error):
                raise DeviceError(f"{reason_lost(error)}; what was measured is kept: profile again")
            if error is not None:
                reason = failures.reason(str(error))
                raise DatabaseError(f"the kernel {call.key} could not be run: {reason}")
        medians = [np.median([float(time) for time in one.run_secs]) for one in results]
        self.rounds.append(np.array(medians))

    def remove(self) -> None:
        """Remove what was built."""
        for path in self._paths:
            ms.utils.remove_build_dir(path)


def _given(arg: Any) -> Array:
    """Return a constant, or random numbers, always the same; zeros where they are whole numbers."""
    if isinstance(arg, ir.GenericConst):
        value: Array = arg.value.numpy()
        return value
    shape, dtype = expr.shape(arg) or (), np.dtype(str(arg.ty.dtype))
    if dtype.kind != "f":
        return np.zeros(shape, dtype)
    return np.random.default_rng(0).standard_normal(shape, np.float32).astype(dtype)


def _outputs(kind: Any) -> list[Array]:
    """Return empty outputs of a type, a tensor's or several."""
    if hasattr(kind, "fields"):
        return [array for field in kind.fields for array in _outputs(field)]
    shape = [int(size) for size in kind.shape.values]
    return [np.zeros(shape, np.dtype(str(kind.dtype)))]
