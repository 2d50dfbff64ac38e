"""Inner loops for ARM keep their sums in registers, whatever the format."""

from __future__ import annotations

import re

import pytest

from support import kernels
from support.formats import pruned
from tvm_sparse import implement, kernel, targets
from tvm_sparse.formats.protocol import Block
from tvm_sparse.layer import Layer

LAYERS = {
    "1×1": Layer(op="conv2d", weight=(64, 96, 1, 1), input=(1, 28, 28)),
    "3×3": Layer(op="conv2d", weight=(64, 32, 3, 3), input=(1, 28, 28), padding=(1, 1, 1, 1)),
    "rows": Layer(op="linear", weight=(64, 96), input=(64,)),
}
FORMATS: list[tuple[str, Block]] = [
    ("unstructured", ()),
    ("block", (4, 1)),
    ("block", (8, 1)),
    ("one_by_n", (4,)),
    ("block_punched", (8, 4)),
]
_MULTIPLY_ADD = re.compile(r"\s(fmla|fmls|vfma|vmla)")
_TO_STACK = re.compile(r"\s(str|stp|stur|vst\w*|push)\b.*\bsp\b")


def inner_loop(assembly: str) -> list[str]:
    """The innermost loop that holds most multiply-adds: a label up to a branch back to it."""
    lines, labels = assembly.splitlines(), dict[str, int]()
    loops: list[list[str]] = []
    for number, line in enumerate(lines):
        if line.startswith(".L") and ":" in line:
            labels[line.split(":")[0]] = number
        branch = re.match(r"\s+(?:b|cbn?z|tbn?z).*?(\.L\w+)", line)
        if branch is not None and branch[1] in labels:
            loops.append(lines[labels[branch[1]] + 1 : number + 1])
    innermost = [loop for loop in loops if not any(line.startswith(".L") for line in loop)]
    return max(innermost, key=lambda loop: sum(bool(_MULTIPLY_ADD.search(at)) for at in loop))


def spilled(loop: list[str]) -> list[str]:
    return [line for line in loop if _TO_STACK.search(line)]


@pytest.mark.parametrize("name", ["rpi4", "armv7"])
@pytest.mark.parametrize("which", LAYERS)
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: "-".join(map(str, (form[0], *form[1]))))
def test_no_sum_of_a_sparse_kernel_leaves_its_register(
    name: str, which: str, form: tuple[str, Block]
) -> None:
    layer, target = LAYERS[which], targets.load(name)
    weight = pruned(kernels.weights(layer), *form, density=0.2)
    choice = kernels.stored_as(layer, weight, *form, target)
    loop = inner_loop(kernels.assembly(implement.sparse(choice, weight).func, target))
    assert sum(bool(_MULTIPLY_ADD.search(line)) for line in loop) >= 4
    assert spilled(loop) == []


@pytest.mark.parametrize("name", ["rpi4", "armv7"])
@pytest.mark.parametrize("which", LAYERS)
def test_no_sum_of_a_dense_kernel_leaves_its_register(name: str, which: str) -> None:
    layer, target = LAYERS[which], targets.load(name)
    bound = implement.dense(layer, kernel.dense(layer, target), kernels.weights(layer))
    loop = inner_loop(kernels.assembly(bound.func, target))
    assert sum(bool(_MULTIPLY_ADD.search(line)) for line in loop) >= 4
    assert spilled(loop) == []
