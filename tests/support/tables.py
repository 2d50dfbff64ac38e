"""Latency tables that need no measuring: the cost formula's word counts."""

from __future__ import annotations

from collections.abc import Mapping

from tvm_sparse import targets
from tvm_sparse.latency import Latency, LatencyTable
from tvm_sparse.profiling.read import Prediction
from tvm_sparse.profiling.terms import FORMULA


class Formula(Prediction):
    """Predicts what the cost formula predicts."""

    def of(self, terms: Mapping[str, float]) -> Latency:
        return Latency(seconds=terms[FORMULA], spread=0.1)


def formula_table() -> LatencyTable:
    """Return a table without cells."""
    table = LatencyTable([])
    table.predict = Formula(table, targets.load("x86"))
    return table
