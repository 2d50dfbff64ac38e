"""Predict how long a whole network takes: the sum of its kernels.

Relax runs one kernel after the other, so that their times add up. Layers are looked up, or
predicted from the kernels that their weights will get; operators that are no layers are looked up,
and guessed from their shapes where they were never measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvm_sparse import targets
from tvm_sparse.choose import Choice
from tvm_sparse.errors import DatabaseError
from tvm_sparse.frontend import import_model
from tvm_sparse.latency import Epilogue, Latency, LatencyTable, canonical
from tvm_sparse.profiling.lowered import AnyChoice, Called, LayerCall, Lowered, lower, stored
from tvm_sparse.profiling.profile import simplified
from tvm_sparse.profiling.read import Prediction
from tvm_sparse.profiling.terms import FORMULA

_NO_LAYER = Epilogue(0, 0)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One kernel of a network.

    Parameters
    ----------
    name : str
        The layer's name, or the operator's.
    stored : str
        How the layer's weight is stored; empty for operators.
    latency : Latency
    """

    name: str
    stored: str
    latency: Latency


@dataclass(frozen=True, kw_only=True)
class NetworkLatency:
    """How long a network is predicted to take.

    Parameters
    ----------
    parts : tuple of Part
        In the order of execution.
    """

    parts: tuple[Part, ...]

    @property
    def seconds(self) -> float:
        """The sum of all parts."""
        return sum(part.latency.seconds for part in self.parts)

    @property
    def rest(self) -> float:
        """The seconds of what is no layer."""
        return sum(part.latency.seconds for part in self.parts if not part.stored)

    @property
    def measured(self) -> float:
        """The share of the seconds that was measured, kernel by kernel, and not predicted."""
        known = (part.latency.seconds for part in self.parts if part.latency.measured)
        return sum(known) / self.seconds


def estimate(
    model: Any,
    table: LatencyTable,
    target: Any = "x86",
    *,
    example_inputs: Any = None,
    masks: Mapping[str, Any] | None = None,
) -> NetworkLatency:
    """Predict how long a network takes, without compiling it.

    Parameters
    ----------
    model, target, example_inputs, masks
        As `tvm_sparse.build` takes them.
    table : LatencyTable
        With a predictor, as `tvm_sparse.profile` and `tvm_sparse.profiling.read.read` return it.

    Returns
    -------
    NetworkLatency

    Raises
    ------
    ModelError
        If the model cannot be imported.
    DatabaseError
        If the table has no predictor, or too few cells to learn from.
    """
    known = targets.load(target)
    mod = simplified(import_model(model, example_inputs, masks), known)
    return prediction(lower(mod, known, sparse=True), table)


def prediction(lowered: Lowered, table: LatencyTable) -> NetworkLatency:
    """Predict how long a lowered model takes; the table as `estimate` takes it.

    Raises
    ------
    DatabaseError
        If the table has no predictor, or too few cells to learn from.
    """
    predict = table.predict
    if not isinstance(predict, Prediction):
        raise DatabaseError(
            "the table has no predictor: open it with tvm_sparse.profiling.read.read"
        )
    return NetworkLatency(parts=tuple(_part(call, table, predict) for call in lowered.calls))


def _part(call: Called, table: LatencyTable, predict: Prediction) -> Part:
    if call.layer is None:
        operator = table.measured(call.key, epilogue=_NO_LAYER) or guess(call.key, table)
        return Part(name=call.key, stored="", latency=operator)
    choice, epilogue = call.layer.choice, call.layer.epilogue
    latency = _measured(choice, epilogue, table) or _predicted(call.layer, predict)
    return Part(name=choice.layer.name, stored=stored(choice), latency=latency)


def _predicted(call: LayerCall, predict: Prediction) -> Latency:
    choice = call.choice
    if choice.used.bits < 32:
        return predict.of_few_bits(choice.layer.key, choice.used.bits, call.terms[FORMULA])
    scheme = canonical(choice.layer, choice.found)
    return predict.at(choice.layer, scheme, call.epilogue, call.terms)


def _measured(choice: AnyChoice, epilogue: Epilogue, table: LatencyTable) -> Latency | None:
    """Return what was measured of a layer with the zeros that it has.

    Rounding to bytes, or to four bits, makes zeros more: where these are not used, they do not
    count. What is fused into an int8 layer hardly costs time: any measurement of it will do.
    """
    key = choice.layer.key
    if isinstance(choice, Choice):
        return table.measured(key, canonical(choice.layer, choice.found), epilogue)
    scheme = canonical(choice.layer, choice.found if choice.is_sparse else choice.used)
    return table.measured(key, scheme, epilogue) or table.measured(key, scheme)


def guess(key: str, table: LatencyTable) -> Latency:
    """Return about how long an operator takes, by those of the same name, else by all others.

    Times go with the size of the largest tensor, those of products with their multiply-adds.
    """
    others = [cell for cell in table.cells if not cell.terms]
    same = [cell for cell in others if cell.key.split()[0] == key.split()[0]]
    rates = [cell.seconds / _work(cell.key) for cell in same or others]
    rate = float(np.median(rates)) if rates else 0.0
    return Latency(seconds=rate * _work(key), spread=1.0)


def _work(key: str) -> int:
    """Return what an operator's time goes with, by its name and the shapes in its key."""
    name, *shapes = key.split()
    sizes = [[int(size) for size in shape.split("x") if size.isdigit()] for shape in shapes]
    most = max((math.prod(size) for size in sizes), default=1)
    if name.startswith("attention") and len(sizes) > 1:  # the keys are (channels, positions)
        return most * sizes[1][-1]
    return most * sizes[0][-1] if "matmul" in name and sizes else most
