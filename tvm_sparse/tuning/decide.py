"""Choose kernels by what was measured, where it was, and by the cost formula elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from tvm_sparse import integer_choice, nibble_choice
from tvm_sparse.choose import Choice
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.integer import Integers
from tvm_sparse.integer_choice import IntegerChoice
from tvm_sparse.layer import Layer
from tvm_sparse.nibble_choice import NibbleChoice
from tvm_sparse.nibbles import Nibbles
from tvm_sparse.targets import Target
from tvm_sparse.tuning import folder, integer_task, nibble_task, packaged, provenance, records
from tvm_sparse.tuning.records import Measured
from tvm_sparse.tuning.task import Task, identity, task_of
from tvm_sparse.workgroup_choice import chooser

_Known = dict[str, list[Measured]]
_Choice = TypeVar("_Choice", Choice, IntegerChoice, NibbleChoice)


class Decisions(NamedTuple):
    """How to compute each layer.

    Parameters
    ----------
    layers : callable
        Of floats, see `tvm_sparse.relay_passes.pack_sparse.PackSparse`.
    integers : callable
        Of bytes, see `tvm_sparse.relay_passes.fold_quantization.FoldQuantization`.
    nibbles : callable
        Of codes of four bits, see `tvm_sparse.relay_passes.pack_nibbles.PackNibbles`.
    """

    layers: Callable[[Layer, Weight, Target], Choice]
    integers: Callable[[Integers, Layer, Target, bool], IntegerChoice]
    nibbles: Callable[[Layer, Nibbles, Target, bool], NibbleChoice]


def tuned(database: str | Path | None, target: Target, sparse: bool = True) -> Decisions:
    """Return how to compute each layer, by what was measured.

    Inside TVM: ``relax.get_pipeline("tvm_sparse", target=target, database="logs/here")``.

    Parameters
    ----------
    database : path, optional
        A folder that `tvm_sparse.tune` wrote. Records of another machine or version are ignored,
        with a warning. Of layers that it does not know, the database that is packaged for this
        class of CPUs is asked.
    target : Target
    sparse : bool
        Whether to use zeros.

    Raises
    ------
    DatabaseError
        If it is no database.
    """
    own = {} if database is None else _own(Path(database), target)
    common = packaged.find(target)
    known = cache(lambda: own if common is None else {**records.read(common), **own})

    base = chooser(target, sparse)

    def decide(layer: Layer, weight: Weight, target: Target) -> Choice:
        choice = base(layer, weight, target)
        measured = known().get(identity(choice))
        if measured is None:
            return choice
        task = task_of(choice, weight, target)
        return _best(choice, task, measured) if task.spaces else choice

    def decide_integers(
        numbers: Integers, layer: Layer, target: Target, sparse: bool
    ) -> IntegerChoice:
        choice = integer_choice.choose(numbers, layer, target, sparse)
        measured = known().get(integer_task.identity(choice, numbers))
        if measured is None:
            return choice
        task = integer_task.integer_task_of(choice, numbers, target)
        return _best(choice, task, measured) if task.spaces else choice

    def decide_nibbles(layer: Layer, stored: Nibbles, target: Target, sparse: bool) -> NibbleChoice:
        choice = nibble_choice.choose(layer, stored, target, sparse)
        measured = known().get(nibble_task.identity(choice, target))
        if measured is None:
            return choice
        return _best(choice, nibble_task.nibble_task_of(choice, target), measured)

    return Decisions(decide, decide_integers, decide_nibbles)


def _own(path: Path, target: Target) -> _Known:
    """Return what a database of the user's knows of each task."""
    folder.demand(path)
    foreign = provenance.foreign(path, target)
    if not foreign:
        return records.read(path)
    warnings.warn(
        f"{path} is ignored: its records are of {foreign}; tune again for this build",
        stacklevel=4,
    )
    return {}


def _best(choice: _Choice, task: Task, measured: list[Measured]) -> _Choice:
    """Return what was measured to be faster than a choice, or the choice; with the reason."""
    best = records.best(measured, task.default)
    found = None if best is None else task.chosen(best.sample)
    if best is None or found is None:
        return replace(choice, reason=f"{choice.reason}; nothing faster was measured")
    default = next((one for one in measured if one.sample == task.default), None)
    gain = f", {default.seconds / best.seconds:.2f}× as fast as predicted best" if default else ""
    assert isinstance(found, type(choice))
    return replace(found, reason=f"tuned: {best.seconds * 1e3:.3g} ms alone{gain}")
