"""Which kernels of words the cost formula likes."""

from __future__ import annotations

import pytest

from tvm_sparse import integer_kernel, targets
from tvm_sparse.cost import Work
from tvm_sparse.layer import Layer
from tvm_sparse.tile import Tile


@pytest.mark.parametrize(
    ("channels", "board", "paired"),
    [(512, "graviton3", 1), (16, "graviton3", 0), (512, "rpi5", 0)],
    ids=["many taps", "few taps", "no matrices"],
)
def test_taps_are_paired_where_matrices_are_multiplied_and_taps_are_many(
    channels: int, board: str, paired: int
) -> None:
    words = channels // 4
    layer = Layer(op="conv2d", weight=(64, words, 1, 1), input=(1, 14, 14), dtype="int8")
    work = Work(blocks=8, taps=8 * words, filters=8)
    found = integer_kernel.best(layer, work, 4, targets.load(board))
    assert isinstance(found.tile, Tile)
    assert found.tile.paired == paired
