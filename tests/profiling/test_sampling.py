from __future__ import annotations

import pytest

from tvm_sparse.errors import FormatError
from tvm_sparse.latency import DENSE, Cell, Epilogue, LatencyTable
from tvm_sparse.layer import Layer
from tvm_sparse.profiling import sampling
from tvm_sparse.profiling.sampling import Place
from tvm_sparse.scheme import Scheme

CONV = Layer(op="conv2d", weight=(32, 16, 3, 3), input=(1, 9, 9))
POINTWISE = Layer(op="conv2d", weight=(32, 16, 1, 1), input=(1, 9, 9))
DEPTHWISE = Layer(op="conv2d", weight=(32, 1, 3, 3), input=(1, 9, 9), groups=32)


LAST = Epilogue(0, 1)


def names(schemes: list[Scheme]) -> list[str]:
    return [str(scheme).removesuffix("/32") for scheme in schemes]


def test_the_grid_leaves_out_what_does_not_suit_a_layer() -> None:
    formats = ("one_by_n-4", "block-4x1", "pattern-4x8", "nm-1x4")
    assert names(sampling.grid(POINTWISE, formats, (0.2, 0.5))) == [
        "dense@1.0",
        "block-4x1@0.2",
        "block-4x1@0.5",
        "nm-1x4@0.2",
    ]
    assert "pattern-4x8@0.2" in names(sampling.grid(CONV, formats, (0.2,)))
    assert sampling.grid(DEPTHWISE, formats, (0.2,)) == [DENSE]
    with pytest.raises(FormatError, match=r"nonsense"):
        sampling.grid(CONV, ("nonsense-4",), (0.2,))


def test_what_was_measured_is_not_asked_for_again() -> None:
    grid = sampling.grid(CONV, ("one_by_n-4", "unstructured"), (0.1, 0.2))
    place = Place(layer=CONV, epilogue=Epilogue(0, 1))
    empty = sampling.missing(place, LatencyTable([]), grid)
    assert empty[0] == DENSE and set(empty) == set(grid)
    known = [
        Cell(key=CONV.key, scheme=s, epilogue=place.epilogue, seconds=1.0, spread=0.0, runs=1)
        for s in grid[:3]
    ]
    assert set(sampling.missing(place, LatencyTable(known), grid)) == set(grid[3:])
    other = Place(layer=CONV, epilogue=Epilogue(1, 2))
    assert set(sampling.missing(other, LatencyTable(known), grid)) == set(grid)


def test_samples_are_finer_only_where_predictions_err() -> None:
    parse = Scheme.parse
    known = {
        parse("one_by_n-4@0.1"): 0.3,
        parse("one_by_n-4@0.4"): 0.02,
        parse("one_by_n-8@0.1"): 0.05,
        parse("one_by_n-8@0.4"): 0.05,
        DENSE: 0.5,
    }
    assert names(sampling.finer(known, 0.1)) == ["one_by_n-4@0.2"]
    assert sampling.finer({**known, parse("one_by_n-4@0.21"): 0.0}, 0.1) == [
        parse("one_by_n-4@0.14")
    ]
    assert sampling.finer(known, 0.6) == []


def test_layers_of_one_kind_take_different_schemes_at_once() -> None:
    pending = sampling.grid(CONV, ("one_by_n-4",), (0.1, 0.2, 0.5))
    place = Place(
        layer=CONV, epilogue=Epilogue(), names=["a", "b", "c"], prunable=True, pending=pending[:]
    )
    place.usual = pending
    first, second = sampling.assign([place], 0), sampling.assign([place], 1)
    assert [first[name] for name in "abc"] == pending[:3]
    assert second["a"] == pending[3] and place.pending == []
    assert second["b"] != second["c"]


def test_unsteady_cells_are_asked_for_again_the_worst_first() -> None:
    spreads = {"dense@1.0": 0.06, "one_by_n-4@0.2": 0.2, "one_by_n-8@0.2": 0.05}
    cells = [
        Cell(key="", scheme=Scheme.parse(name), epilogue=LAST, seconds=1.0, spread=spread, runs=8)
        for name, spread in (*spreads.items(), ("one_by_n-4@0.2/8", 0.2))
    ]
    assert names(sampling.unsteady(cells, 0.05, 32)) == ["one_by_n-4@0.2", "dense@1.0"]
    assert sampling.unsteady(cells, 0.2, 8) == []
