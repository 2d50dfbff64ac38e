from __future__ import annotations

import pytest

from tvm_sparse.planning import curves


def test_times_between_densities_are_on_lines() -> None:
    known = {0.1: 3.0, 0.5: 7.0}
    assert curves.times(known, [0.5, 0.3, 0.1, 0.05]).tolist() == pytest.approx([7, 5, 3, 3])
