from __future__ import annotations

import numpy as np
import pytest

from tvm_sparse.errors import DatabaseError
from tvm_sparse.latency import Cell, Epilogue
from tvm_sparse.profiling.accuracy import Accuracy, kendall
from tvm_sparse.profiling.predictor import Predictor, held_out
from tvm_sparse.scheme import Scheme


def table(layers: int = 12, noise: float = 0.01) -> list[Cell]:
    """Return cells of layers that take longer than the formula says, by what a term tells."""
    rng = np.random.default_rng(0)
    found = []
    for layer in range(layers):
        size = 4.0 ** (layer % 3)
        for density in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7):
            formula = 1e-5 * size * density
            terms = {"formula": formula, "density": density, "size": size}
            seconds = formula * (1.5 if size > 4 else 0.8) * (1 + noise * rng.standard_normal())
            scheme = Scheme(format="unstructured", density=density)
            key = f"layer {layer}"
            found.append(
                Cell(
                    key=key,
                    scheme=scheme,
                    epilogue=Epilogue(),
                    seconds=seconds,
                    spread=0.01,
                    runs=3,
                    terms=terms,
                )
            )
    return found


def test_what_the_formula_misses_is_learnt_also_for_layers_never_seen() -> None:
    cells = table()
    formula = np.array([cell.terms["formula"] for cell in cells])
    assert Accuracy.of(formula, np.array([cell.seconds for cell in cells])).within == 0.0
    for accuracy in held_out(cells).values():
        assert accuracy.number == len(cells)
        assert accuracy.within > 0.9
        assert accuracy.tau > 0.9


def test_predictions_grow_with_density_and_tell_how_sure_they_are() -> None:
    predictor = Predictor(table())
    terms = [{"formula": 4e-5 * d, "density": d, "size": 4.0} for d in (0.1, 0.2, 0.5)]
    seconds, spread = predictor.predict(terms)
    assert (np.diff(seconds) > 0).all()
    np.testing.assert_allclose(seconds, [3.2e-6, 6.4e-6, 1.6e-5], rtol=0.1)
    assert (spread > 0).all() and (spread < 0.1).all()
    again, _ = Predictor(table()).predict(terms)
    np.testing.assert_array_equal(seconds, again)


def test_a_table_without_layers_teaches_nothing() -> None:
    with pytest.raises(DatabaseError, match=r"at least 8 measured cells to learn from, got 3"):
        Predictor(table(1)[:3])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvm_sparse.profiling.predictor.find_spec", lambda name: None)
    with pytest.raises(DatabaseError, match=r"needs xgboost: pip install"):
        Predictor(table())


def test_accuracy_is_counted_within_a_tenth() -> None:
    found = Accuracy.of(np.array([1.0, 2.1, 3.9, 5.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert found.within == 0.5
    assert found.tau == 1.0
    assert str(found) == "50.0% of 4 cells within 10 %, median error 15.0%, Kendall τ 1.000"
    assert kendall(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])) == pytest.approx(1 / 3)
