from __future__ import annotations

from dataclasses import replace

import pytest

from tvm_sparse.errors import DatabaseError
from tvm_sparse.latency import DENSE, Cell, Epilogue, Latency, LatencyTable, canonical
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme

CONV = Layer(op="conv2d", weight=(32, 16, 3, 3), input=(1, 9, 9))
POINTWISE = Layer(op="conv2d", weight=(32, 16, 1, 1), input=(1, 9, 9))
DEPTHWISE = Layer(op="conv2d", weight=(32, 1, 3, 3), input=(1, 9, 9), groups=32)
LAST = Epilogue(0, 1)


def cell(layer: Layer, scheme: str, seconds: float, epilogue: Epilogue = LAST) -> Cell:
    found = canonical(layer, Scheme.parse(scheme))
    return Cell(
        key=layer.key, scheme=found, epilogue=epilogue, seconds=seconds, spread=0.01, runs=3
    )


def test_what_was_measured_is_looked_up_under_any_name_of_the_same_zeros() -> None:
    table = LatencyTable([cell(POINTWISE, "one_by_n-4@0.2", 2.0), cell(POINTWISE, "dense@1.0", 5)])
    for name in ("one_by_n-4@0.2", "block-4x1@0.2", "block_punched-4x1@0.2003"):
        found = table.latency(POINTWISE, name)
        assert (found.seconds, found.spread, found.measured) == (2.0, 0.01, True)
    assert table.latency(POINTWISE).seconds == 5.0


def test_other_schemes_other_layers_and_other_bits_are_not_that_cell() -> None:
    table = LatencyTable([cell(CONV, "one_by_n-4@0.2", 2.0)])
    for layer, scheme in (
        (CONV, "one_by_n-4@0.21"),
        (CONV, "one_by_n-8@0.2"),
        (CONV, "block-4x1@0.2"),
        (CONV, "one_by_n-4@0.2/8"),
        (POINTWISE, "one_by_n-4@0.2"),
    ):
        with pytest.raises(DatabaseError, match=r"was not measured under .*: profile a model"):
            table.latency(layer, scheme)


def test_the_predictor_answers_for_the_rest_with_the_usual_epilogue() -> None:
    asked: list[tuple[Layer, Scheme, Epilogue]] = []

    def predict(layer: Layer, scheme: Scheme, epilogue: Epilogue) -> Latency:
        asked.append((layer, scheme, epilogue))
        return Latency(seconds=3.0, spread=0.2)

    residual = Epilogue(1, 3)
    cells = [cell(CONV, "dense@1", 9.0), cell(CONV, "dense@1", 9.5, residual)]
    table = LatencyTable([*cells, cell(CONV, "one_by_n-4@0.2", 2.0, residual)], predict=predict)
    assert not table.latency(CONV, "one_by_n-4@0.3").measured
    assert table.latency(POINTWISE, "one_by_n-4@0.3", Epilogue(0, 0)).seconds == 3.0
    assert asked == [
        (CONV, Scheme.parse("one_by_n-4@0.3"), residual),
        (POINTWISE, Scheme.parse("block-4x1@0.3"), Epilogue(0, 0)),
    ]
    assert table.latency(CONV).seconds == 9.5
    assert table.latency(CONV, DENSE, LAST).seconds == 9.0


def test_repeated_measurements_are_averaged_and_their_difference_is_spread() -> None:
    table = LatencyTable([cell(CONV, "dense@1", 2.0), cell(CONV, "dense@1", 3.0)])
    (one,) = table.cells
    assert (one.seconds, one.spread, one.runs) == (2.5, 0.2, 6)


def test_the_steadier_of_two_measurements_counts_more() -> None:
    disturbed = replace(cell(CONV, "dense@1", 3.0), spread=0.2)
    calm = replace(cell(CONV, "dense@1", 2.0), spread=0.02)
    (one,) = LatencyTable([disturbed, calm]).cells
    assert one.seconds == pytest.approx(2.0 + 1 / 101)  # by the squares of the spreads
    assert one.spread < 0.06


def test_a_layer_that_cannot_be_pruned_has_one_cell() -> None:
    assert canonical(DEPTHWISE, Scheme.parse("unstructured@0.2")) == DENSE
    assert canonical(CONV, Scheme.parse("block_punched-8x4@1.0")) == DENSE
