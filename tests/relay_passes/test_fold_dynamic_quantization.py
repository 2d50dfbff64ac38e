"""Layers of bytes whose meaning is computed become layers of bytes whose meaning is known."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.script import relax as R

import tvm_sparse as ts
from support import kernels
from support import relax as modules
from support.naive import naive_loops
from tvm_sparse import targets
from tvm_sparse.errors import ModelError
from tvm_sparse.relay_passes.fold_dynamic_quantization import FoldDynamicQuantization
from tvm_sparse.targets import Target

RNG = np.random.default_rng(0)


def layer(kind: str, dtype: str) -> tuple[tvm.IRModule, tuple[int, ...]]:
    """A layer that reads its scale and zero point beside the tensor."""
    conv = kind == "conv2d"
    shape = (2, 5, 7, 9) if conv else (3, 2, 33)
    weight = RNG.integers(-127, 128, (8, 5, 3, 3) if conv else (33, 12)).astype(np.int8)
    filters = 8 if conv else 12
    builder = relax.BlockBuilder()
    x = relax.Var("x", R.Tensor(shape, "float32"))
    s, z = relax.Var("s", R.Tensor((1,), "float32")), relax.Var("z", R.Tensor((1,), dtype))
    with builder.function("main", [x, s, z]):
        with builder.dataflow():
            q = builder.emit(relax.op.quantize(x, s, z, 0, dtype))
            real = builder.emit(relax.op.dequantize(q, s, z, 0))
            scale = relax.const(RNG.random(filters).astype(np.float32))
            zero, axis = relax.const(0, "int8"), 0 if conv else 1
            w = builder.emit(relax.op.dequantize(relax.const(weight), scale, zero, axis))
            y = builder.emit_output(
                relax.op.nn.conv2d(real, w, padding=(1, 0, 2, 1), strides=2)
                if conv
                else relax.op.matmul(real, w)
            )
        builder.emit_func_output(y)
    return builder.get(), shape


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("kind", ["conv2d", "linear"])
def test_sums_are_those_of_the_bytes_that_were_chosen(kind: str, dtype: str, x86: Target) -> None:
    mod, shape = layer(kind, dtype)
    ops = modules.ops(modules.apply(FoldDynamicQuantization(x86), mod))
    assert ops[0] == "quantize" and ops[-2:] == ["add", "multiply"]
    assert ("tir:pad" in ops) == (kind == "conv2d")
    compiled = ts.build(mod, database=False)
    assert naive_loops(compiled.mod) == []
    assert [row.is_integer for row in compiled.report] == [True]
    x = RNG.uniform(-3, 5, shape).astype(np.float32)
    zero = np.array([40 if dtype == "uint8" else -51], dtype)
    given = (x, np.array([8 / 255], np.float32), zero)
    kernels.assert_close(compiled(*given), modules.run(mod, *given))


def test_gpus_are_told_to_quantize_statically() -> None:
    mod, _ = layer("linear", "uint8")
    with pytest.raises(ModelError, match="kernels for CPUs alone: build for a CPU, or quantize"):
        modules.apply(FoldDynamicQuantization(targets.load("vulkan")), mod)
