"""Kernels of transposed matrices: attention and layer norm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import tvm

from support import bounds, kernels
from tvm_sparse.algorithms.attention import Heads, attention, cut
from tvm_sparse.algorithms.layer_norm import layer_norm
from tvm_sparse.targets import Target


def computed(func: Any, inputs: list[Any], shape: tuple[int, int], target: Target) -> Any:
    result = tvm.runtime.tensor(np.full(shape, np.nan, np.float32))
    run = kernels.compiled(func, target, bounds.NAME)
    run(*[tvm.runtime.tensor(x) for x in inputs], result)
    return result.numpy()


def normal(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("queries", "keys", "size"), [(1, 9, 16), (16, 1, 6), (17, 35, 6), (70, 32, 16)]
)
def test_heads_of_any_size_attend_inside_their_matrices(
    queries: int, keys: int, size: int, x86: Target
) -> None:
    batch, number = 2, 3
    width = number * size
    heads = Heads(
        batch=batch,
        heads=number,
        queries=queries,
        keys=keys,
        size=size,
        scale=0.7,
        features=(width + 2, width, 2 * width),
        first=(2, 0, width),
    )
    tokens = (queries, keys, keys)
    matrices = [normal(f, batch * n) for f, n in zip(heads.features, tokens, strict=True)]
    q, k, v = (
        torch.from_numpy(x[at : at + width]).reshape(number, size, batch, n).permute(2, 0, 3, 1)
        for x, at, n in zip(matrices, heads.first, tokens, strict=True)
    )
    expected = F.scaled_dot_product_attention(q, k, v, scale=0.7)
    func = attention(heads, cut(heads, x86.lanes, x86.registers))
    shape = (width, batch * queries)
    actual = computed(func, matrices, shape, x86)
    kernels.assert_close(actual, expected.permute(1, 3, 0, 2).reshape(shape), 1e-5)


@pytest.mark.parametrize(("features", "rows"), [(1, 1), (5, 16), (37, 3), (24, 77), (16, 128)])
def test_layer_norm_of_columns_equals_torch(features: int, rows: int, x86: Target) -> None:
    x, gamma, beta = normal(features, rows), normal(features), normal(features)
    expected = F.layer_norm(
        torch.from_numpy(x).T, (features,), torch.from_numpy(gamma), torch.from_numpy(beta), 1e-3
    )
    func = layer_norm(features, rows, 1e-3, x86.lanes)
    actual = computed(func, [x, gamma, beta], (features, rows), x86)
    kernels.assert_close(actual, expected.T, 1e-5)
