from __future__ import annotations

import pytest

from tvm_sparse import targets
from tvm_sparse.latency import Cell, Epilogue, Latency, LatencyTable
from tvm_sparse.layer import Layer
from tvm_sparse.profiling.read import Prediction
from tvm_sparse.profiling.terms import FORMULA
from tvm_sparse.scheme import Scheme

SIZES = (16, 32, 48, 64, 80)


class Twice(Prediction):
    """Says of all kernels that they take twice as long as the formula says."""

    def of(self, terms: dict[str, float]) -> Latency:  # type: ignore[override]
        return Latency(seconds=2 * terms[FORMULA], spread=0.1)


def layer(channels: int) -> Layer:
    return Layer(
        op="conv2d", weight=(32, channels, 3, 3), input=(1, 8, 8), padding=(1, 1, 1, 1), name="c"
    )


def formula(predict: Prediction, channels: int, scheme: str) -> float:
    return predict._terms(layer(channels), Scheme.parse(scheme), Epilogue())[FORMULA]


@pytest.fixture(scope="module")
def predict() -> Prediction:
    """Return a predictor of five layers, three times as slow at 0.1 as the formula says."""
    table = LatencyTable([])
    found = Twice(table, targets.load("x86"))
    table.predict = found
    for channels in SIZES:
        table.add(
            Cell(
                key=layer(channels).key,
                scheme=Scheme.parse("unstructured@0.1"),
                epilogue=Epilogue(),
                seconds=3 * formula(found, channels, "unstructured@0.1"),
                spread=0.01,
                runs=8,
                terms={"formula": 1.0},
            )
        )
    return found


def test_below_what_was_measured_times_go_down_with_the_formula(predict: Prediction) -> None:
    found = predict(layer(32), Scheme.parse("unstructured@0.05"), Epilogue())
    assert found.seconds == pytest.approx(3 * formula(predict, 32, "unstructured@0.05"))
    assert not found.measured


def test_elsewhere_the_trees_answer(predict: Prediction) -> None:
    for channels, scheme in ((32, "unstructured@0.2"), (96, "one_by_n-4@0.05")):
        found = predict(layer(channels), Scheme.parse(scheme), Epilogue())
        assert found.seconds == pytest.approx(2 * formula(predict, channels, scheme))
    found = predict(layer(96), Scheme.parse("unstructured@0.05"), Epilogue())  # no cell of its own
    assert found.seconds == pytest.approx(2 * formula(predict, 96, "unstructured@0.05"))
