from __future__ import annotations

import time

import numpy as np

from tvm_sparse.tuning import cold


def test_copies_of_weights_exceed_the_caches_but_not_the_memory() -> None:
    assert cold.copies([np.zeros(100, np.float32)]) == 64
    assert cold.copies([np.zeros(1 << 20, np.float32), np.zeros(1 << 20, np.int32)]) == 6
    assert cold.copies([np.zeros(64 << 20, np.uint8)]) == 1
    assert cold.copies([]) == 64


def test_runs_take_the_copies_in_turns() -> None:
    seen: list[int] = []
    found = cold.seconds(seen.append, [[0], [1], [2]], repeat=4, least=0.0)
    assert len(found) == 4
    assert seen == [0, 1, 2, 0, 1]


def test_short_calls_are_repeated_and_times_are_those_of_one_call() -> None:
    found = cold.seconds(lambda: time.sleep(1e-3), [[]], repeat=2, least=5e-3)
    assert all(1e-3 <= seconds < 1e-1 for seconds in found)
