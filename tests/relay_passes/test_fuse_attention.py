from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tvm_sparse as ts
from support import kernels, relax
from support.naive import naive_loops
from tvm_sparse.frontend import import_model
from tvm_sparse.relay_passes.fold_constants import FoldConstants
from tvm_sparse.relay_passes.fuse_attention import FuseAttention
from tvm_sparse.relay_passes.tidy_views import TidyViews
from tvm_sparse.targets import Target

WIDTH, HEADS = 24, 3


class Joint(nn.Module):
    """Self-attention from one projection, with the products spelled out or not."""

    def __init__(self, attend: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.attend = attend
        self.project = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(2, (HEADS, -1)).transpose(1, 2)
            for part in self.project(x).chunk(3, dim=-1)
        )
        y: Tensor = self.out(self.attend(q, k, v).transpose(1, 2).flatten(2))
        return y


class Cross(nn.Module):
    """Queries from some rows, keys and values from others."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.value, self.rows = nn.Linear(WIDTH, WIDTH), nn.Linear(19, 7)

    def forward(self, x: Tensor) -> Tensor:
        few = self.rows(x.transpose(1, 2)).transpose(1, 2)
        q, k, v = (
            y.unflatten(2, (HEADS, -1)).transpose(1, 2)
            for y in (self.query(x), self.key(few), self.value(few))
        )
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def spelled(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.transpose(-1, -2) / 3.0, -1) @ v


def causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def encoder() -> nn.Module:
    return nn.TransformerEncoderLayer(WIDTH, HEADS, 32, batch_first=True, activation="gelu")


FUSED: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "scaled_dot_product_attention": (lambda: Joint(F.scaled_dot_product_attention), 1),
    "a batch of it": (lambda: Joint(F.scaled_dot_product_attention), 3),
    "products and softmax": (lambda: Joint(spelled), 2),
    "nn.TransformerEncoderLayer": (encoder, 1),
    "fewer keys than queries": (Cross, 2),
}
OTHER: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "a causal mask": (lambda: Joint(causal), 2),
    "rows of a batch that alternate": (encoder, 2),
}


def fused(model: nn.Module, x: Tensor, target: Target) -> list[str]:
    mod = import_model(model, (x,))
    for transform in (FoldConstants(), TidyViews(), FuseAttention(target)):
        mod = relax.apply(transform, mod)
    return relax.ops(mod)


def equals_torch(model: nn.Module, x: Tensor) -> None:
    compiled = ts.build(model, example_inputs=(x,))
    with torch.inference_mode():
        kernels.assert_close(compiled(x), model(x))
    assert compiled.mod is not None
    assert naive_loops(compiled.mod) == []


@pytest.mark.parametrize("name", FUSED)
def test_attention_is_one_kernel_however_it_is_spelled(name: str, x86: Target) -> None:
    torch.manual_seed(0)
    make, batch = FUSED[name]
    model, x = make().eval(), torch.randn(batch, 19, WIDTH)
    ops = fused(model, x, x86)
    assert ops.count("tir:attention") == 1
    assert "nn.softmax" not in ops
    equals_torch(model, x)


@pytest.mark.parametrize("name", OTHER)
def test_attention_that_the_kernel_does_not_know_stays_and_is_right(name: str, x86: Target) -> None:
    torch.manual_seed(0)
    make, batch = OTHER[name]
    model, x = make().eval(), torch.randn(batch, 19, WIDTH)
    assert "tir:attention" not in fused(model, x, x86)
    equals_torch(model, x)


def test_large_scores_do_not_overflow() -> None:
    torch.manual_seed(0)
    model = Joint(lambda q, k, v: F.scaled_dot_product_attention(q * 40, k * 40, v)).eval()
    equals_torch(model, torch.randn(1, 33, WIDTH))
