"""What stands between quantized tensors is computed with integers, bit for bit as numpy says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import tvm
from torch import nn
from tvm import relax

import tvm_sparse as ts
from support import relax as helpers
from support.naive import naive_loops
from tvm_sparse import targets
from tvm_sparse.fixed_point import FixedPoint
from tvm_sparse.integer import Bytes
from tvm_sparse.relay_passes import pipeline, record
from tvm_sparse.relay_passes.fold_quantization import FoldQuantization
from tvm_sparse.targets import Target

FIRST, SECOND, OUTPUT = (
    Bytes(scale=0.03, zero=11),
    Bytes(scale=0.07, zero=0),
    Bytes(scale=0.0517, zero=90),
)
Array = np.ndarray[Any, Any]
Compute = Callable[..., Any]


def module(compute: Compute, shapes: list[tuple[int, ...]], output: Bytes) -> tvm.IRModule:
    """A function of floats, which are quantized, dequantized, computed on and quantized."""
    builder = relax.BlockBuilder()
    inputs = [
        relax.Var(f"x{i}", relax.TensorType(shape, "float32")) for i, shape in enumerate(shapes)
    ]

    def steps(value: Any, given: Bytes) -> Any:
        scale, zero = relax.const(given.scale, "float32"), relax.const(given.zero, "uint8")
        return builder.emit(relax.op.quantize(value, scale, zero, 0, "uint8")), scale, zero

    with builder.function("main", inputs):
        with builder.dataflow():
            quantized = [steps(x, given) for x, given in zip(inputs, (FIRST, SECOND), strict=False)]
            floats = [builder.emit(relax.op.dequantize(*each, axis=0)) for each in quantized]
            result = builder.emit_output(steps(builder.emit(compute(builder, *floats)), output)[0])
        builder.emit_func_output(result)
    return builder.get()


def check(compute: Compute, q: list[Array], expected: Array, output: Bytes = OUTPUT) -> list[str]:
    """Compare all bytes; the operators after folding."""
    mod = module(compute, [each.shape for each in q], output)
    inputs = [
        ((each.astype(np.float32) - given.zero) * np.float32(given.scale)).astype(np.float32)
        for each, given in zip(q, (FIRST, SECOND), strict=False)
    ]
    compiled = ts.build(mod)
    np.testing.assert_array_equal(compiled(*inputs), expected)
    assert naive_loops(compiled.mod) == []
    simple = tvm.transform.Sequential(pipeline.simplify())(mod)
    folded = helpers.apply(FoldQuantization(targets.load("x86")), simple)
    return [op for op in helpers.ops(folded) if op not in ("reshape", "permute_dims")]


def octets(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def fixed(q: list[Array], low: float = -np.inf, output: Bytes = OUTPUT) -> Array:
    """Bytes added up in fixed point, and how near they are to the real sum."""
    known = [FIRST, SECOND][: len(q)]
    given = FixedPoint.of(known, output, low)
    assert given is not None
    pairs = list(zip(q, given.multipliers, strict=True))
    total = sum(each.astype(np.int64) * m for each, m in pairs) + given.offset
    assert np.abs(total).max() < 2**31
    steps = np.rint(total / 2.0**given.shift) + given.zero
    found: Array = np.clip(steps, given.low, given.high).astype(np.uint8)
    real = sum(b.scale * (each.astype(float) - b.zero) for each, b in zip(q, known, strict=True))
    exact = np.clip(np.maximum(real, low) / output.scale + output.zero, 0, 255)
    assert np.abs(found - exact).max() < 0.501
    return found


@pytest.mark.parametrize("shape", [(2, 10, 7, 9), (3, 5, 18)], ids=["images", "rows"])
def test_sums_are_added_in_fixed_point(shape: tuple[int, ...]) -> None:
    q = [octets(*shape), octets(*shape, seed=1)]
    found = check(
        lambda builder, a, b: relax.op.nn.relu(builder.emit(relax.op.add(a, b))),
        q,
        fixed(q, low=0.0),
    )
    assert found.count("tir:sum") == 1
    assert "add" not in found


def test_another_scale_takes_one_multiplication() -> None:
    q = [octets(1, 8, 5, 5)]
    found = check(lambda builder, a: relax.op.nn.relu(a), q, fixed(q, low=0.0))
    assert found.count("tir:sum") == 1


@pytest.mark.parametrize("channels", [8, 6], ids=["whole words", "cut words"])
def test_concatenated_channels_keep_their_bytes(channels: int) -> None:
    q = [octets(2, channels, 5, 7), octets(2, 9, 5, 7, seed=1)]
    parts = [fixed(q[:1], output=SECOND), q[1]]
    found = check(
        lambda builder, a, b: relax.op.concat([a, b], 1), q, np.concatenate(parts, 1), SECOND
    )
    assert found.count("concat") == 1
    assert found.count("tir:sum") == 1  # the second has the result's scale


@pytest.mark.parametrize("padded", [True, False], ids=["padding counts", "padding does not count"])
def test_averages_are_exact_sums_scaled_once(padded: bool) -> None:
    q = octets(2, 10, 13, 17)
    wide = np.pad(q.astype(np.int64) - FIRST.zero, ((0, 0), (0, 0), (1, 1), (1, 1)))
    ones = np.pad(np.ones((13, 17)), 1, constant_values=float(padded))
    windows = [(slice(i, i + 13, 2), slice(j, j + 17, 2)) for i in range(3) for j in range(3)]
    total = np.sum([wide[:, :, rows, columns] for rows, columns in windows], axis=0)
    counted = np.sum([ones[rows, columns] for rows, columns in windows], axis=0)
    share = (1 / counted).astype(np.float32) * np.float32(FIRST.scale / OUTPUT.scale)
    expected = np.rint(total.astype(np.float32) * share) + OUTPUT.zero

    def pool(builder: Any, a: Any) -> Any:
        return relax.op.nn.avg_pool2d(a, (3, 3), (2, 2), (1, 1, 1, 1), count_include_pad=padded)

    assert "nn.avg_pool2d" not in check(pool, [q], np.clip(expected, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("size", [(2, 10, 7, 7), (1, 5, 30, 20)], ids=str)
def test_the_mean_of_an_image_is_one_too(size: tuple[int, ...]) -> None:
    q = octets(*size)
    share = np.float32(1 / (size[2] * size[3])) * np.float32(FIRST.scale / OUTPUT.scale)
    total = (q.astype(np.int64) - FIRST.zero).sum((2, 3))
    expected = np.rint(total.astype(np.float32) * share) + OUTPUT.zero
    found = check(
        lambda builder, a: relax.op.mean(a, [2, 3]),
        [q],
        np.clip(expected, 0, 255).astype(np.uint8),
    )
    assert "mean" not in found


def test_bytes_that_only_move_are_moved() -> None:
    q = octets(3, 8, 2, 5)
    found = check(
        lambda builder, a: relax.op.reshape(a, (3, 80)), [q], q.reshape(3, 80), output=FIRST
    )
    assert found == ["tir:quantize", "tir:unpack"]


def test_the_report_says_what_is_computed_in_float(x86: Target) -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.up(x)
            z: torch.Tensor = self.down(y) * torch.sigmoid(y[:, :4])
            return z

    mod = ts.quantize(Gated().eval(), [torch.rand(1, 8, 3, 3)])
    mod = tvm.transform.Sequential(pipeline.simplify())(mod)
    notes = record.read(helpers.apply(FoldQuantization(x86), mod)).notes
    assert notes == ["computed in float, from quantized tensors: strided_slice"]
