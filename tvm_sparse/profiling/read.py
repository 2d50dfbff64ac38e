"""Open a latency table, with a predictor for what was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from tvm_sparse import targets
from tvm_sparse.latency import Epilogue, Latency, LatencyTable
from tvm_sparse.layer import Layer
from tvm_sparse.profiling import file
from tvm_sparse.profiling.predictor import Predictor
from tvm_sparse.profiling.prune_constants import weight
from tvm_sparse.profiling.terms import following, terms
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.workgroup_choice import chooser


def read(path: str | Path, target: str | Path | Target = "x86") -> LatencyTable:
    """Open a table that `tvm_sparse.profile` wrote.

    Parameters
    ----------
    path : path
        The folder.
    target : str, path or Target
        Of whose kernels the table tells.

    Returns
    -------
    LatencyTable
        Its predictor is fitted when it is first asked, to what the table holds then.

    Raises
    ------
    DatabaseError
        If it is no latency table.
    TargetError
        If the target is unknown.
    """
    folder = Path(path)
    table = LatencyTable(file.cells(folder), file.origin(folder))
    table.predict = Prediction(table, targets.load(target))
    return table


class Prediction:
    """Predicts cells of a table that were not measured.

    Parameters
    ----------
    table : LatencyTable
    target : Target
        For which kernels are chosen.
    """

    def __init__(self, table: LatencyTable, target: Target) -> None:
        self._table = table
        self._target = target
        self._known: dict[tuple[Layer, Scheme], dict[str, float]] = {}

    @cached_property
    def predictor(self) -> Predictor:
        """The model of latencies, fitted when it is first needed."""
        return Predictor(self._table.cells)

    def __call__(self, layer: Layer, scheme: Scheme, epilogue: Epilogue) -> Latency:
        """Predict how long a layer takes, its weights being random numbers."""
        name = layer, scheme
        if name not in self._known:
            drawn = weight(layer, scheme)
            choice = chooser(self._target)(layer, drawn, self._target)
            self._known[name] = terms(choice, drawn, epilogue)
        return self.of({**self._known[name], **following(layer, epilogue)})

    def of(self, terms: Mapping[str, float]) -> Latency:
        """Predict how long a kernel takes whose terms are known."""
        (seconds,), (spread,) = self.predictor.predict([terms])
        return Latency(seconds=float(seconds), spread=float(spread))
