"""Choose kernels by what was measured, where it was, and by the cost formula elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tvm_sparse.choose import Choice, choose, stay_dense
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target
from tvm_sparse.tuning import folder, provenance, records
from tvm_sparse.tuning.task import identity, task_of


def tuned(
    database: str | Path, target: Target, sparse: bool = True
) -> Callable[[Layer, Weight, Target], Choice]:
    """Return how to compute each layer, for `tvm_sparse.relay_passes.pack_sparse.PackSparse`.

    Inside TVM: ``relax.get_pipeline("tvm_sparse", target=target, database="logs/here")``.

    Parameters
    ----------
    database : path
        A folder that `tvm_sparse.tune` wrote. Records of another machine or version are ignored,
        with a warning.
    target : Target
    sparse : bool
        Whether to use zeros.

    Raises
    ------
    DatabaseError
        If it is no database.
    """
    path = Path(database)
    known = records.by_task(folder.reading(path))
    foreign = provenance.foreign(path, target)
    if foreign:
        known = {}
        warnings.warn(
            f"{path} is ignored: its records are of {foreign}; tune again for this build",
            stacklevel=3,
        )

    base = choose if sparse else stay_dense

    def decide(layer: Layer, weight: Weight, target: Target) -> Choice:
        choice = base(layer, weight, target)
        measured = known.get(identity(choice))
        if measured is None:
            return choice
        task = task_of(choice, weight, target)
        best = records.best(measured, task.default)
        found = None if best is None else task.chosen(best.sample)
        if best is None or found is None:
            return replace(choice, reason=f"{choice.reason}; nothing faster was measured")
        default = next((one for one in measured if one.sample == task.default), None)
        gain = (
            f", {default.seconds / best.seconds:.2f}× as fast as predicted best" if default else ""
        )
        return replace(found, reason=f"tuned: {best.seconds * 1e3:.3g} ms alone{gain}")

    return decide
