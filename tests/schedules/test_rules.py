from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import tvm
from torch import nn
from tvm import te, topi

import tvm_sparse as ts
from support import kernels
from support.naive import naive_loops
from tvm_sparse import formats, implement
from tvm_sparse.layer import Layer
from tvm_sparse.targets import Target
from tvm_sparse.tile import Tile


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: torch.Tensor) -> torch.Tensor:
        return self.function(*args)


FUNCTIONS: dict[str, tuple[Callable[..., torch.Tensor], tuple[tuple[int, ...], ...]]] = {
    "softmax of ragged rows": (lambda x: x.softmax(-1), ((3, 7, 33),)),
    "softmax of short rows": (lambda x: x.softmax(-1), ((50, 5),)),
    "softmax of long rows": (lambda x: x.softmax(-1), ((2, 4, 128, 197),)),
    "softmax over channels": (lambda x: x.softmax(1), ((2, 9, 6, 5),)),
    "softmax over as many channels as rows": (lambda x: x.softmax(1), ((1, 6, 6, 6),)),
    "layer norm of ragged rows": (lambda x: nn.functional.layer_norm(x, (77,)), ((5, 77),)),
    "layer norm": (lambda x: nn.functional.layer_norm(x, (768,)), ((1, 128, 768),)),
    "mean over the image": (lambda x: x.mean((2, 3)), ((2, 130, 7, 7),)),
    "mean over channels": (lambda x: x.mean(1), ((2, 13, 9, 9),)),
    "sum of everything": (lambda x: x.sum(), ((3, 5, 7),)),
    "largest of a row": (lambda x: x.max(-1).values, ((64, 300),)),
    "attention scores": (lambda a, b: a @ b.transpose(-1, -2), ((2, 3, 50, 16), (2, 3, 50, 16))),
    "masked scores of a prime number of rows": (
        lambda a, b, mask: a @ b.transpose(-1, -2) / 4 + mask,
        ((2, 3, 29, 16), (2, 3, 29, 16), (29, 29)),
    ),
    "product of a prime number of rows, scaled and added": (
        lambda a, b, c: (a @ b).relu() * 3 + c,
        ((3, 13, 24), (3, 24, 37), (3, 13, 37)),
    ),
    "product with a ragged width": (lambda a, b: a @ b, ((3, 13, 24), (3, 24, 37))),
    "product of single rows": (lambda a, b: a @ b, ((4, 1, 20), (4, 20, 19))),
    "broadcast addition": (lambda a, b: a + b, ((2, 8, 5, 7), (1, 8, 1, 1))),
    "transpose of four axes": (lambda x: x.permute(0, 2, 3, 1).contiguous(), ((2, 16, 9, 11),)),
    "transpose of a matrix": (lambda x: x.t().contiguous(), ((50, 37),)),
    "concatenation": (lambda a, b: torch.cat([a, b], 1), ((2, 5, 6, 6), (2, 3, 6, 6))),
    "pixel shuffle": (lambda x: nn.functional.pixel_shuffle(x, 2), ((1, 16, 9, 9),)),
    "every activation": (
        lambda x: nn.functional.gelu(x).sigmoid().tanh() + nn.functional.silu(x).exp(),
        ((3, 67),),
    ),
    "nearest resize": (lambda x: nn.functional.interpolate(x, scale_factor=2), ((1, 4, 8, 8),)),
    "index of the largest": (lambda x: x.argmax(-1).float(), ((6, 40),)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operators_compute_what_torch_computes(name: str) -> None:
    function, shapes = FUNCTIONS[name]
    torch.manual_seed(0)
    inputs = tuple(torch.randn(shape) for shape in shapes)
    compiled = ts.build(Function(function), example_inputs=inputs)
    expected = function(*inputs)
    kernels.assert_close(compiled(*inputs), expected, 1e-5)
    assert compiled.mod is not None
    assert naive_loops(compiled.mod) == []


def test_infinities_pass_through_as_in_torch() -> None:
    x = torch.tensor([[1.0, float("inf"), -float("inf"), 0.0]])
    compiled = ts.build(Function(lambda x: torch.relu(x) + 1), example_inputs=(x,))
    torch.testing.assert_close(compiled(x), torch.relu(x) + 1)


def test_the_inner_loop_of_a_sparse_product_is_multiply_adds_in_registers(x86: Target) -> None:
    layer = Layer(op="conv2d", weight=(64, 64, 3, 3), input=(1, 56, 56), padding=(1, 1, 1, 1))
    weight = kernels.weights(layer)
    weight *= formats.get("block").mask(abs(weight), 0.2, (8, 1))
    choice = kernels.stored_as(layer, weight, "block", (8, 1), x86)
    text = kernels.assembly(implement.sparse(choice, weight).func, x86)
    tile = choice.kernel.tile
    assert isinstance(tile, Tile)
    loop = hottest_loop(text)
    register = "zmm" if x86.bits == 512 else "ymm"
    fused = [line for line in loop if line.startswith("vfmadd") and register in line]
    spilled = [line for line in loop if "vmov" in line and "(%rsp)" in line]
    assert len(fused) % (tile.filters * tile.vectors) == 0
    assert len(fused) >= 16
    assert not spilled
    assert len(loop) <= 2.2 * len(fused)


def hottest_loop(text: str) -> list[str]:
    """The straight run of instructions between a label and a jump with the most multiply-adds."""
    best: list[str] = []
    block: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if line.endswith(":") or not line or line.startswith((".", "#")):
            is_target = line.endswith(":") and not line.startswith(".Ltmp")  # these are notes
            block = [] if is_target else block
            continue
        block.append(line)
        if line.startswith("j"):
            if sum("vfmadd" in i for i in block) > sum("vfmadd" in i for i in best):
                best = block
            block = []
    return best


def test_functions_that_no_rule_knows_are_still_correct(x86: Target) -> None:
    data = te.placeholder((6, 50), name="data")
    func = te.create_prim_func([data, topi.cumsum(data, 1)])
    x = np.random.default_rng(0).standard_normal((6, 50)).astype(np.float32)
    out = tvm.runtime.tensor(np.zeros_like(x))
    kernels.compiled(func, x86)(tvm.runtime.tensor(x), out)
    np.testing.assert_allclose(out.numpy(), x.cumsum(1), rtol=1e-4, atol=1e-5)
