"""Open a latency table, with a predictor for what was not measured.

Trees know nothing beyond what they have seen: below the densities that were measured in a form,
their answers stay as they are at the last one, while what a kernel spends besides multiplying
becomes all that there is. There a layer's time goes down with the cost formula's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from tvm_sparse import targets
from tvm_sparse.latency import DENSE, Epilogue, Latency, LatencyTable
from tvm_sparse.layer import Layer
from tvm_sparse.profiling import file, integers, pace, short
from tvm_sparse.profiling.predictor import Predictor
from tvm_sparse.profiling.prune_constants import weight
from tvm_sparse.profiling.terms import FORMULA, following, terms
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.workgroup_choice import chooser

_ALIKE = 1.02  # ratio of densities up to which they are one
_FEWEST = 5  # cells of a form, from the sparsest on, of which trees have learnt
_Form = tuple[str, tuple[int, ...], int]


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
        Its cells have the times of one pace of the machine, see `tvm_sparse.profiling.pace`. Its
        predictor is fitted when it is first asked, to what the table holds then.

    Raises
    ------
    DatabaseError
        If it is no latency table.
    TargetError
        If the target is unknown.
    """
    folder = Path(path)
    table = LatencyTable(pace.levelled(file.cells(folder)), file.origin(folder))
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
        if scheme.bits < 32:
            name = layer, scheme
            if name not in self._known:
                self._known[name] = {FORMULA: self._formula(layer, scheme)}
            return self.of_few_bits(layer.key, scheme.bits, self._known[name][FORMULA])
        return self.at(layer, scheme, epilogue, self._terms(layer, scheme, epilogue))

    def at(
        self, layer: Layer, scheme: Scheme, epilogue: Epilogue, terms: Mapping[str, float]
    ) -> Latency:
        """Predict how long a layer's kernel takes whose terms are known.

        Parameters
        ----------
        layer : Layer
        scheme : Scheme
            Canonical, as the weights are.
        epilogue : Epilogue
        terms : mapping of str to float
            See `tvm_sparse.profiling.terms.terms`.
        """
        found, lowest = self.of(terms), self._lowest.get(_form(scheme), 0.0)
        if scheme.density * _ALIKE >= lowest:
            return found
        sparsest = replace(scheme, density=lowest)
        known = self._table.latency(layer, sparsest, epilogue).seconds
        formula = self._terms(layer, sparsest, epilogue)[FORMULA]
        return replace(found, seconds=known * terms[FORMULA] / formula)

    @cached_property
    def _lowest(self) -> dict[_Form, float]:
        """The smallest densities, by form, that enough cells were measured at."""
        found: dict[_Form, list[float]] = {}
        for cell in self._table.cells:
            if cell.terms and cell.scheme != DENSE:
                found.setdefault(_form(cell.scheme), []).append(cell.scheme.density)
        enough = {form: sorted(seen) for form, seen in found.items() if len(seen) >= _FEWEST}
        return {form: seen[_FEWEST - 1] for form, seen in enough.items()}

    def _terms(self, layer: Layer, scheme: Scheme, epilogue: Epilogue) -> dict[str, float]:
        """Return the terms of a layer whose weights are random numbers."""
        name = layer, scheme
        if name not in self._known:
            drawn = weight(layer, scheme)
            choice = chooser(self._target)(layer, drawn, self._target)
            self._known[name] = terms(choice, drawn, epilogue)
        return {**self._known[name], **following(layer, epilogue)}

    def _formula(self, layer: Layer, scheme: Scheme) -> float:
        """Return the seconds that the cost formula predicts of a layer of fewer than 32 bits."""
        drawn = weight(layer, scheme)
        if scheme.bits == integers.BITS:
            return integers.choose(layer, drawn, self._target).kernel.seconds
        return short.choose(layer, drawn, scheme.bits, self._target).kernel.seconds

    def of_few_bits(self, key: str, bits: int, formula: float) -> Latency:
        """Predict how long a kernel of few bits takes: the formula's time, times what it is off.

        That is the median over the layer's measured cells of as many bits, or over all layers'.

        Parameters
        ----------
        key : str
            The layer's.
        bits : int
        formula : float
            Seconds that the cost formula predicts.
        """
        cells = [cell for cell in self._table.cells if cell.scheme.bits == bits]
        known = [cell for cell in cells if cell.terms]
        near = [cell for cell in known if cell.key == key] or known
        ratios = [cell.seconds / cell.terms[FORMULA] for cell in near] or [1.0]
        ratio = float(np.median(ratios))
        return Latency(seconds=formula * ratio, spread=float(np.std(ratios) / ratio))

    def of(self, terms: Mapping[str, float]) -> Latency:
        """Predict how long a kernel takes by its terms alone."""
        (seconds,), (spread,) = self.predictor.predict([terms])
        return Latency(seconds=float(seconds), spread=float(spread))


def _form(scheme: Scheme) -> _Form:
    return scheme.format, scheme.block, scheme.bits
