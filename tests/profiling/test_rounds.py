from __future__ import annotations

import numpy as np
import pytest

from tvm_sparse.profiling.lowered import Called
from tvm_sparse.profiling.rounds import Rounds


class Noted(Rounds):
    """Rounds whose times are known."""

    def __init__(self, times: list[list[float]]) -> None:
        super().__init__([Called(name=str(turn), key=str(turn)) for turn in range(len(times[0]))])
        self.rounds = [np.array(one) for one in times]

    def run(self) -> None:
        raise AssertionError("nothing is to be run")

    def remove(self) -> None:
        raise AssertionError("there is nothing to remove")


def test_kernels_share_the_usual_time_as_in_the_faster_half_of_their_rounds() -> None:
    rounds = Noted([[1.0, 9.0], [1.1, 2.0], [5.0, 2.2], [1.3, 2.1]])
    np.testing.assert_allclose(rounds.sound, [[1.1, 2.0], [1.3, 2.1]])
    np.testing.assert_allclose(rounds.seconds, np.array([1.05, 2.05]) * (3.25 / 3.1))
    np.testing.assert_allclose(rounds.spreads, [0.05 / 1.05, 0.05 / 2.05])


@pytest.mark.parametrize(("least", "spread", "steady"), [(4, 0.05, True), (4, 0.01, False)])
def test_rounds_go_on_until_the_faster_half_agrees(least: int, spread: float, steady: bool) -> None:
    rounds = Noted([[1.0], [1.04], [5.0], [1.2]])
    assert rounds.steady(least, spread) == steady
    assert not rounds.steady(least + 1, spread)
