"""Inner loops for ARM keep their sums in registers, whatever the format."""

from __future__ import annotations

import dataclasses
import re

import pytest

from support import integers, kernels
from support.formats import pruned
from tvm_sparse import implement, kernel, targets
from tvm_sparse.cycles import costs
from tvm_sparse.formats.protocol import Block
from tvm_sparse.implement_integer import implement as implement_integer
from tvm_sparse.layer import Layer

LAYERS = {
    "1×1": Layer(op="conv2d", weight=(64, 96, 1, 1), input=(1, 28, 28)),
    "3×3": Layer(op="conv2d", weight=(64, 32, 3, 3), input=(1, 28, 28), padding=(1, 1, 1, 1)),
    "rows": Layer(op="linear", weight=(64, 96), input=(64,)),
}
FORMATS: list[tuple[str, Block]] = [
    ("unstructured", ()),
    ("one_by_n", (4,)),
    ("block_punched", (8, 4)),
]
BOARDS = ["rpi3", "rpi4", "armv7"]
SHARES = {"rpi3": 0.6, "rpi4": 0.9, "rpi5": 0.9}  # of the peak that llvm-mca knows
_MULTIPLY_ADD = re.compile(r"\s(fmla|fmls|vfma|vmla|sdot|usdot|usmmla|sadalp)")
_OF_BYTES = re.compile(r"\s(sdot|usdot|usmmla|sadalp)")  # fmla scales their sums
_TO_STACK = re.compile(r"\s(str|stp|stur|vst\w*|push)\b.*\bsp\b")


def inner_loop(assembly: str, adds: re.Pattern[str] = _MULTIPLY_ADD) -> list[str]:
    """The innermost loop that holds most multiply-adds: a label up to a branch back to it."""
    lines, labels = assembly.splitlines(), dict[str, int]()
    loops: list[list[str]] = []
    for number, line in enumerate(lines):
        if line.startswith(".LBB"):
            labels[line.split(":")[0]] = number
        branch = re.match(r"\s+(?:b|cbn?z|tbn?z).*?(\.LBB\w+)", line)
        if branch is not None and branch[1] in labels:
            loops.append(lines[labels[branch[1]] + 1 : number + 1])
    innermost = [loop for loop in loops if not any(line.startswith(".LBB") for line in loop)]
    return max(innermost, key=lambda loop: multiply_adds(loop, adds))


def multiply_adds(loop: list[str], adds: re.Pattern[str] = _MULTIPLY_ADD) -> int:
    return sum(bool(adds.search(line)) for line in loop)


def spilled(loop: list[str]) -> list[str]:
    return [line for line in loop if _TO_STACK.search(line)]


def sparse_loop(layer: Layer, form: tuple[str, Block], board: str) -> list[str]:
    target = dataclasses.replace(targets.load(board), cores=1)
    weight = pruned(kernels.weights(layer), *form, density=0.2)
    choice = kernels.stored_as(layer, weight, *form, target)
    return inner_loop(kernels.assembly(implement.sparse(choice, weight).func, target))


def dense_loop(layer: Layer, board: str) -> list[str]:
    target = dataclasses.replace(targets.load(board), cores=1)
    bound = implement.dense(layer, kernel.dense(layer, target), kernels.weights(layer))
    return inner_loop(kernels.assembly(bound.func, target))


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("which", LAYERS)
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: "-".join(map(str, (form[0], *form[1]))))
def test_no_sum_of_a_sparse_kernel_leaves_its_register(
    board: str, which: str, form: tuple[str, Block]
) -> None:
    loop = sparse_loop(LAYERS[which], form, board)
    assert multiply_adds(loop) >= 4
    assert spilled(loop) == []


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("which", LAYERS)
def test_no_sum_of_a_dense_kernel_leaves_its_register(board: str, which: str) -> None:
    loop = dense_loop(LAYERS[which], board)
    assert multiply_adds(loop) >= 4
    assert spilled(loop) == []


def integer_loop(which: str, board: str, density: float = 0.2) -> list[str]:
    target = dataclasses.replace(targets.load(board), cores=1)
    given = integers.numbers(LAYERS[which], density=density)
    choice = integers.chosen(LAYERS[which], given, target, block=4)
    return inner_loop(kernels.assembly(implement_integer(choice, given).func, target), _OF_BYTES)


@pytest.mark.parametrize(
    ("board", "instruction"),
    [("rpi4", "sadalp"), ("rpi5", "sdot"), ("graviton3", "usdot"), ("graviton3", "usmmla")],
)
def test_no_sum_of_bytes_leaves_its_register(board: str, instruction: str) -> None:
    loop = integer_loop("3×3", board, 0.02 if instruction == "usdot" else 0.2)
    assert sum(f"\t{instruction}\t" in line for line in loop) == multiply_adds(loop) >= 16
    assert spilled(loop) == []


def share_of_peak(loop: list[str], board: str) -> float:
    core = str(targets.load(board).tvm["mcpu"])
    lines = [line.split("//")[0] for line in loop if not line.strip().startswith((".", "//"))]
    text = re.sub(r"\.L\w+", "#-64", "\n".join(lines))
    (cycles,) = costs.of_assembly([text], core)
    return multiply_adds(loop) / (costs.peak(core) * cycles)


@pytest.mark.arm
@pytest.mark.usefixtures("modelling")
@pytest.mark.parametrize("board", SHARES)
@pytest.mark.parametrize("which", ["1×1", "3×3"])
def test_inner_loops_in_blocks_of_four_come_near_the_modelled_peak(which: str, board: str) -> None:
    loop = sparse_loop(LAYERS[which], ("one_by_n", (4,)), board)
    assert share_of_peak(loop, board) >= SHARES[board]


@pytest.mark.arm
@pytest.mark.usefixtures("modelling")
@pytest.mark.parametrize("board", SHARES)
def test_dense_inner_loops_come_near_the_modelled_peak(board: str) -> None:
    assert share_of_peak(dense_loop(LAYERS["1×1"], board), board) >= SHARES[board]


@pytest.mark.arm
@pytest.mark.usefixtures("modelling")
def test_dot_products_of_bytes_come_near_the_modelled_peak() -> None:
    assert share_of_peak(integer_loop("1×1", "rpi5"), "rpi5") >= 0.95
