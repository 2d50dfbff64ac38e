from __future__ import annotations

import pytest

from tvm_sparse.layer import Layer
from tvm_sparse.planning.exchange import exchanged
from tvm_sparse.planning.problem import Option, Problem, Selection, Slot
from tvm_sparse.scheme import Scheme

DENSITIES = (0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1)


def slot(name: str, error: float) -> Slot:
    """A layer that takes as long as it is dense; the other format would be better in all."""
    layer = Layer(name=name, op="linear", weight=(8, 8), input=(1,), dtype="float32")
    options = [Option(scheme=Scheme(format="dense"), seconds=1.0, error=0.0, nbytes=1)]
    for form, better in (("one_by_n-4", 1.0), ("unstructured", 0.5)):
        options += [
            Option(
                scheme=Scheme.parse(f"{form}@{d}"),
                seconds=d * better,
                error=error * (1 - d) * better,
                nbytes=1,
            )
            for d in DENSITIES
        ]
    return Slot(names=(name,), layer=layer, options=tuple(options))


PROBLEM = Problem(slots=tuple(slot(name, e) for name, e in (("a", 1), ("b", 3), ("c", 2))), rest=1)


def at(*densities: float) -> Selection:
    return tuple(DENSITIES.index(d) + 1 if d < 1 else 0 for d in densities)


def test_one_layer_changes_where_that_is_enough_and_it_is_the_one_of_least_error() -> None:
    chosen = at(0.4, 0.4, 0.4)
    assert exchanged(PROBLEM, chosen, 2.1) == at(0.3, 0.4, 0.4)
    assert exchanged(PROBLEM, chosen, 2.3) == at(0.4, 0.5, 0.4)


def test_several_layers_change_where_one_is_not_enough() -> None:
    found = exchanged(PROBLEM, at(0.5, 0.5, 0.5), 1.6)
    assert PROBLEM.total(found, "seconds") == pytest.approx(1.6)
    assert found[0] == at(0.1)[0]  # the layer that matters least


def test_formats_stay_and_dense_layers_too() -> None:
    found = exchanged(PROBLEM, at(1, 0.5, 0.5), 1.0)
    schemes = [option.scheme for option in PROBLEM.options(found)]
    assert [one.format for one in schemes] == ["dense", "one_by_n", "one_by_n"]
    assert [one.density for one in schemes] == [1.0, 0.1, 0.1]


def test_a_selection_that_is_near_enough_stays() -> None:
    chosen = at(0.4, 0.3, 0.2)
    assert exchanged(PROBLEM, chosen, 1.905) == chosen
