"""Open a latency table, with a predictor for what was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from tvm_sparse import targets
from tvm_sparse.latency import Epilogue, Latency, LatencyTable
from tvm_sparse.layer import Layer
from tvm_sparse.profiling import file, integers
from tvm_sparse.profiling.predictor import Predictor
from tvm_sparse.profiling.prune_constants import weight
from tvm_sparse.profiling.terms import FORMULA, following, terms
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
        if scheme.bits == integers.BITS:
            if name not in self._known:
                kernel = integers.choose(layer, weight(layer, scheme), self._target).kernel
                self._known[name] = {FORMULA: kernel.seconds}
            return self.of_integers(layer.key, self._known[name][FORMULA])
        if name not in self._known:
            drawn = weight(layer, scheme)
            choice = chooser(self._target)(layer, drawn, self._target)
            self._known[name] = terms(choice, drawn, epilogue)
        return self.of({**self._known[name], **following(layer, epilogue)})

    def of_integers(self, key: str, formula: float) -> Latency:
        """Predict how long an int8 kernel takes: the formula's time, times what it is off.

        That is the median over the layer's measured cells, or over those of all layers.

        Parameters
        ----------
        key : str
            The layer's.
        formula : float
            Seconds that the cost formula predicts.
        """
        cells = [cell for cell in self._table.cells if cell.scheme.bits == integers.BITS]
        known = [cell for cell in cells if cell.terms]
        near = [cell for cell in known if cell.key == key] or known
        ratios = [cell.seconds / cell.terms[FORMULA] for cell in near] or [1.0]
        ratio = float(np.median(ratios))
        return Latency(seconds=formula * ratio, spread=float(np.std(ratios) / ratio))

    def of(self, terms: Mapping[str, float]) -> Latency:
        """Predict how long a kernel takes whose terms are known."""
        (seconds,), (spread,) = self.predictor.predict([terms])
        return Latency(seconds=float(seconds), spread=float(spread))
