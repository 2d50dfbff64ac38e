"""Integer kernels on emulated ARM cores: bit for bit what the numbers say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from support import integers, kernels, programs
from support.layers import LAYERS, conv
from tvm_sparse import targets, words
from tvm_sparse.implement_integer import implement
from tvm_sparse.integer import Bytes, Integers
from tvm_sparse.integer_choice import IntegerChoice
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target
from tvm_sparse.tile import Tile

pytestmark = pytest.mark.arm


@dataclass(frozen=True)
class Case:
    """A layer with its numbers, over blocks of so many filters; 0 for every word.

    Taps are multiplied two at a time if they are paired, whether it pays or not.
    """

    layer: Layer
    numbers: Integers
    block: int = 4
    x: integers.Array | None = None
    residual: integers.Array | None = None
    paired: bool = False

    @property
    def inputs(self) -> integers.Array:
        return integers.inputs(self.layer) if self.x is None else self.x


def case(which: str, block: int = 4) -> Case:
    layer = LAYERS[which]
    return Case(layer, integers.numbers(layer, block=max(block, 1)), block)


def extreme(byte: int, weight: int) -> Case:
    """The same byte for every input, and the same weight everywhere."""
    layer = LAYERS["linear, many rows"]
    numbers = replace(integers.numbers(layer), weight=np.full(layer.weight, weight, np.int8))
    return Case(layer, numbers, x=np.full((*layer.input, layer.channels), byte, np.uint8))


def depthwise() -> Case:
    layer = conv((12, 1, 3, 3), (2, 9, 11), groups=12, padding=(1, 1, 1, 1))
    return Case(layer, integers.numbers(layer, density=1.0))


def with_residual() -> Case:
    plain = case("ragged 3×3")
    numbers = replace(plain.numbers, residual=Bytes(scale=0.03, zero=60), low=0.0)
    shape = kernels.reference(plain.layer, plain.inputs, numbers.weight).shape
    residual = np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)
    return replace(plain, numbers=numbers, residual=residual)


def as_floats() -> Case:
    plain = case("linear, nested rows")
    return replace(plain, numbers=replace(plain.numbers, output=None))


FEW = {
    "ragged 3×3": case("ragged 3×3"),
    "linear, nested rows": case("linear, nested rows"),
    "depthwise": depthwise(),
    "a residual": with_residual(),
    "floats": as_floats(),
    **{
        f"byte {byte}, weight {weight}": extreme(byte, weight)
        for byte, weight in [(0, -128), (255, -128), (255, 127), (0, 127)]
    },
}
ALL = {which: case(which) for which, layer in LAYERS.items() if not words.objection(layer)}
ALL |= {
    "8 filters": case("1×1, batch 3", 8),
    "16 filters": case("ragged 3×3", 16),
    "dense": case("ragged 3×3", 0),
    **FEW,
}
FEWEST = {
    which: FEW[which] for which in ("depthwise", "a residual", "floats", "byte 255, weight -128")
}
PAIRED = {
    f"{which}, paired": replace(ALL[which], paired=True)
    for which in ("ragged 3×3", "8 filters", "16 filters", "dense", "a residual")
}
BOARDS = {"rpi4": ALL, "rpi5": ALL, "graviton3": FEWEST | PAIRED, "armv7": FEWEST}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, object]]:
    """What a board computes for each of its cases, in one program."""

    @cache
    def of_board(board: str) -> dict[str, object]:
        return computed(board, tmp_path_factory.mktemp(board))

    return of_board


def chosen(one: Case, target: Target) -> IntegerChoice:
    """The kernel of a case."""
    choice = integers.chosen(one.layer, one.numbers, target, one.block)
    assert isinstance(choice.kernel.tile, Tile)
    tile = replace(choice.kernel.tile, paired=int(one.paired))
    return replace(choice, kernel=replace(choice.kernel, tile=tile))


def computed(board: str, folder: Path) -> dict[str, object]:
    target, made = targets.load(board), []
    for one in BOARDS[board].values():
        choice = chosen(one, target)
        bound = implement(choice, one.numbers)
        given = (one.layer, one.numbers, bound, one.inputs, target.dot, one.residual)
        made.append((bound.func, integers.arguments(*given)))
    raw = programs.of_kernels(made, target, folder)
    return {
        name: integers.from_words(one.layer, y, one.numbers, target.dot)
        for (name, one), y in zip(BOARDS[board].items(), raw, strict=True)
    }


@pytest.mark.parametrize(
    ("board", "which"), [(board, which) for board, cases in BOARDS.items() for which in cases]
)
def test_a_kernel_gives_every_byte(
    board: str, which: str, results: Callable[[str], dict[str, object]]
) -> None:
    one = BOARDS[board][which]
    expected = integers.reference(one.layer, one.inputs, one.numbers, one.residual)
    np.testing.assert_array_equal(results(board)[which], expected)
