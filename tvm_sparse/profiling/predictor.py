"""Predict what was not measured: XGBoost corrects the cost formula.

What is learnt is the logarithm of measured over predicted time, so that the formula carries over
to layers of other sizes. Cells are drawn into five folds, twice, and each of ten models is fitted
without one. All together answer; they disagree where they know little. How far they are off at a
given disagreement is found on each cell by the two that do not know it, as is how good they are.

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
Folds = npt.NDArray[np.int64]  # of each cell in each draw, shape (draws, cells)

FOLDS = 5
_DRAWS = 2  # of cells into folds
_FEWEST = 8  # cells from which something can be learnt
_FLOOR = 0.01  # disagreement below which models differ by chance
_SETTINGS = {
    "objective": "reg:squarederror",
    "max_depth": 6,
    "eta": 0.07,
    "subsample": 0.8,
    "colsample_bytree": 0.7,
    "min_child_weight": 1,
    "max_bin": 64,
    "nthread": 1,
}
_TREES = 250


class Predictor:
    """A model of latencies, fitted to measured cells of float layers.

    Parameters
    ----------
    cells : iterable of Cell
        Those without terms, and those of int8, are left out.

    Raises
    ------
    DatabaseError
        If there are too few cells, or XGBoost is missing.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.cells = [cell for cell in cells if cell.terms and cell.scheme.bits == 32]
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
        return self._formula * np.exp(self._crossed[0])

    @cached_property
    def held_out_layers(self) -> Array:
        """The same, of models fitted without any cell of the layer; shape (cells,)."""
        by_layer = _folds([cell.key for cell in self.cells])
        found = _left_out(self._fitted(by_layer), by_layer, self._inputs)
        return self._formula * np.exp(found[0])

    @cached_property
    def _scale(self) -> float:
        """How far predictions are off, in units of the models' disagreement."""
        logs, apart = self._crossed
        return float(np.median(np.abs(logs - self._outputs) / (apart + _FLOOR)))

    @cached_property
    def _crossed(self) -> tuple[Array, Array]:
        return _left_out(self._models, self._drawn, self._inputs)

    @cached_property
    def _drawn(self) -> Folds:
        return _folds([str(place) for place in range(len(self.cells))])

    @cached_property
    def _models(self) -> list[Any]:
        return self._fitted(self._drawn)

    @cached_property
    def _inputs(self) -> Array:
        return _rows([cell.terms for cell in self.cells], self.names)

    @cached_property
    def _outputs(self) -> Array:
        return np.asarray(np.log(measured(self.cells) / self._formula))

    @cached_property
    def _formula(self) -> Array:
        return np.array([cell.terms[FORMULA] for cell in self.cells])

    def _fitted(self, folds: Folds) -> list[Any]:
        """Return a model for each fold of each draw, which does not know its cells."""
        return [
            _model(self._inputs[drawn != fold], self._outputs[drawn != fold], seed=turn)
            for turn, drawn in enumerate(folds)
            for fold in range(FOLDS)
        ]


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


def _folds(groups: Sequence[str]) -> Folds:
    """Return the fold of each cell in each draw; cells of one group are in the same."""
    names, member = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(0)
    return np.array([rng.permutation(len(names))[member] % FOLDS for _ in range(_DRAWS)])


def _model(inputs: Array, outputs: Array, seed: int) -> Any:
    import xgboost

    return xgboost.train({**_SETTINGS, "seed": seed}, xgboost.DMatrix(inputs, outputs), _TREES)


def _left_out(models: Sequence[Any], folds: Folds, inputs: Array) -> tuple[Array, Array]:
    """Return the answers about each cell of those models that do not know it; as `_answer`."""
    said = _said(models, inputs).reshape(_DRAWS, FOLDS, len(inputs))
    return _together(np.take_along_axis(said, folds[:, None], axis=1)[:, 0])


def _answer(models: Sequence[Any], inputs: Array) -> tuple[Array, Array]:
    """Return the mean of what models say, and how far they are apart."""
    return _together(_said(models, inputs))


def _said(models: Sequence[Any], inputs: Array) -> Array:
    """Return what each model says, shape (models, rows)."""
    import xgboost

    data = xgboost.DMatrix(inputs)
    return np.array([model.predict(data) for model in models], np.float64)


def _together(said: Array) -> tuple[Array, Array]:
    return said.mean(axis=0), said.std(axis=0, ddof=1)
