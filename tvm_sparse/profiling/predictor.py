"""Predict what was not measured: XGBoost corrects the cost formula.

What is learnt is the logarithm of measured over predicted time, so that the formula carries over
to layers of other sizes. Several models, each fitted to another part of the table, disagree where
they know little; how far they are off at a given disagreement is found by cross-validation.

Zhang et al., "nn-Meter", MobiSys 2021, for predicting latencies kernel by kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse.errors import DatabaseError
from tvm_sparse.latency import Cell
from tvm_sparse.profiling.accuracy import Accuracy
from tvm_sparse.profiling.terms import FORMULA

Array = npt.NDArray[np.float64]

FOLDS = 5
_MODELS = 4
_FEWEST = 8  # cells from which something can be learnt
_FLOOR = 0.01  # disagreement below which models differ by chance
_SETTINGS = {
    "objective": "reg:squarederror",
    "max_depth": 6,
    "eta": 0.07,
    "subsample": 0.8,
    "colsample_bytree": 0.7,
    "min_child_weight": 1,
    "nthread": 1,
}
_TREES = 250


class Predictor:
    """A model of latencies, fitted to measured cells of layers.

    Parameters
    ----------
    cells : iterable of Cell
        Those without terms are left out.

    Raises
    ------
    DatabaseError
        If there are too few cells, or XGBoost is missing.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.cells = [cell for cell in cells if cell.terms]
        if find_spec("xgboost") is None:
            raise DatabaseError(
                "predicting latencies needs xgboost: pip install 'tvm-sparse[tune]', or "
                "pip install xgboost-cpu"
            )
        if len(self.cells) < _FEWEST:
            raise DatabaseError(
                f"expected at least {_FEWEST} measured cells to learn from, got "
                f"{len(self.cells)}: profile a model first"
            )
        self.names = sorted({name for cell in self.cells for name in cell.terms})

    def predict(self, terms: Sequence[Mapping[str, float]]) -> tuple[Array, Array]:
        """Return predicted seconds, and how sure they are.

        Parameters
        ----------
        terms : sequence of n mappings
            See `tvm_sparse.profiling.terms.terms`.

        Returns
        -------
        seconds, spread : arrays of shape (n,)
            Half of the times are within this share of the prediction.
        """
        formula = np.array([one[FORMULA] for one in terms])
        logs, apart = _answer(self._models, _rows(terms, self.names))
        return formula * np.exp(logs), self._scale * (apart + _FLOOR)

    @cached_property
    def held_out(self) -> Array:
        """What models fitted without a cell predict for it, in seconds; shape (cells,).

        Folds are drawn at random.
        """
        return self._crossed[0]

    @cached_property
    def held_out_layers(self) -> Array:
        """The same, of models fitted without any cell of the layer; shape (cells,)."""
        return self._cross([cell.key for cell in self.cells])[0]

    @cached_property
    def _scale(self) -> float:
        """How far predictions are off, in units of the models' disagreement."""
        seconds, apart = self._crossed
        off = np.abs(np.log(seconds / measured(self.cells)))
        return float(np.median(off / (apart + _FLOOR)))

    @cached_property
    def _crossed(self) -> tuple[Array, Array]:
        return self._cross([str(place) for place in range(len(self.cells))])

    @cached_property
    def _models(self) -> list[Any]:
        return _fitted(self._inputs, self._outputs)

    @cached_property
    def _inputs(self) -> Array:
        return _rows([cell.terms for cell in self.cells], self.names)

    @cached_property
    def _outputs(self) -> Array:
        return np.asarray(np.log(measured(self.cells) / self._formula))

    @cached_property
    def _formula(self) -> Array:
        return np.array([cell.terms[FORMULA] for cell in self.cells])

    def _cross(self, groups: Sequence[str]) -> tuple[Array, Array]:
        """Predict each group by models that know none of its cells; return their disagreement."""
        names = sorted(set(groups))
        drawn = dict(zip(names, np.random.default_rng(0).permutation(len(names)), strict=True))
        folds = np.array([drawn[group] % FOLDS for group in groups])
        logs, apart = np.zeros(len(groups)), np.zeros(len(groups))
        for fold in np.unique(folds):
            out = folds == fold
            models = _fitted(self._inputs[~out], self._outputs[~out])
            logs[out], apart[out] = _answer(models, self._inputs[out])
        return self._formula * np.exp(logs), apart


def held_out(cells: Iterable[Cell]) -> dict[str, Accuracy]:
    """Return how good predictions are for cells, and for layers, that were left out of fitting.

    Raises
    ------
    DatabaseError
        As `Predictor`.
    """
    found = Predictor(cells)
    times = measured(found.cells)
    return {
        "cells": Accuracy.of(found.held_out, times),
        "layers": Accuracy.of(found.held_out_layers, times),
    }


def measured(cells: Sequence[Cell]) -> Array:
    """Return the measured seconds of cells."""
    return np.array([cell.seconds for cell in cells])


def _rows(terms: Sequence[Mapping[str, float]], names: Sequence[str]) -> Array:
    rows = [[one.get(name, np.nan) for name in names] for one in terms]
    return np.array(rows, np.float64)


def _fitted(inputs: Array, outputs: Array) -> list[Any]:
    """Return models of outputs, each of which sees four fifths of the rows."""
    import xgboost

    models, rng = [], np.random.default_rng(0)
    for seed in range(_MODELS):
        seen = rng.random(len(outputs)) < 0.8
        seen[rng.integers(len(outputs))] = True
        data = xgboost.DMatrix(inputs[seen], outputs[seen])
        models.append(xgboost.train({**_SETTINGS, "seed": seed}, data, _TREES))
    return models


def _answer(models: Sequence[Any], inputs: Array) -> tuple[Array, Array]:
    """Return the mean of what models say, and how far they are apart."""
    import xgboost

    said = np.array([model.predict(xgboost.DMatrix(inputs)) for model in models], np.float64)
    return said.mean(axis=0), said.std(axis=0)
