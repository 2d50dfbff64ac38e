from __future__ import annotations

import numpy as np

from tvm_sparse.latency import DENSE, Cell, Epilogue
from tvm_sparse.profiling import pace
from tvm_sparse.scheme import Scheme

PACES = np.array([1.0, 1.2, 1.0, 0.9, 1.0])
FIXED = {"stem": 9e-6, "deep": 4e-6, "head": 2e-6}


def cell(key: str, seconds: float, scheme: Scheme = DENSE) -> Cell:
    return Cell(key=key, scheme=scheme, epilogue=Epilogue(), seconds=seconds, spread=0.01, runs=8)


def scheme(number: int) -> Scheme:
    return Scheme.parse(f"one_by_n-4@{0.1 * (1 + number):.1f}")


def ran(noise: float = 0.0) -> list[list[Cell]]:
    """Return networks that share three layers, a fourth one having another density in each."""
    rng = np.random.default_rng(0)
    return [
        [
            *(cell(k, s * slow * (1 + noise * rng.standard_normal())) for k, s in FIXED.items()),
            cell("conv", 1e-6 * (1 + number) * slow, scheme(number)),
        ]
        for number, slow in enumerate(PACES)
    ]


def test_the_pace_of_each_network_is_found_by_what_it_shares_with_others() -> None:
    np.testing.assert_allclose(pace.paces(ran()), PACES)
    np.testing.assert_allclose(pace.paces(ran(0.01)), PACES, rtol=0.04)


def test_cells_measured_once_have_the_times_of_the_usual_pace() -> None:
    cells = [one for network in ran() for one in network]
    assert [len(network) for network in pace.networks(cells)] == [4] * 5
    found = [one.seconds for one in pace.levelled(cells) if one.key == "conv"]
    np.testing.assert_allclose(found, 1e-6 * np.arange(1, 6))


def test_networks_that_share_nothing_stay_as_they_were_measured() -> None:
    cells = [cell("first", 1e-6), cell("second", 2e-6)]
    assert pace.levelled(cells) == cells
    assert pace.levelled([]) == []


def test_networks_of_another_model_are_parted_from_those_before() -> None:
    other = [[cell(key, 1e-6) for key in ("first", "second")]] * 2
    cells = [one for network in [*ran(), *other] for one in network]
    assert [len(network) for network in pace.networks(cells)] == [4] * 5 + [2] * 2
