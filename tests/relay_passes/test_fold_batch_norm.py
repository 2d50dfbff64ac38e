from __future__ import annotations

import numpy as np
import tvm
from tvm import relax

from support.relax import apply, constants, ops, run
from tvm_sparse.relay_passes.fold_batch_norm import FoldBatchNorm

rng = np.random.default_rng(0)


def number(*shape: int) -> relax.Expr:
    return relax.const(rng.uniform(0.5, 1.5, shape).astype(np.float32))


def module(*, bias: bool = False, read_twice: bool = False, layer: bool = True) -> tvm.IRModule:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 3, 6, 6), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            y = x
            if layer:
                y = builder.emit(relax.op.nn.conv2d(x, number(3, 3, 3, 3), padding=1), "conv")
            z = builder.emit(relax.op.add(y, number(1, 3, 1, 1))) if bias else y
            normed = builder.emit(
                relax.op.nn.batch_norm(
                    z, number(3), number(3), number(3), number(3), axis=1, training=False
                )
            )
            n = builder.emit(relax.TupleGetItem(normed, 0))
            out = builder.emit_output(relax.op.add(n, y) if read_twice else relax.op.nn.relu(n))
        builder.emit_func_output(out)
    return builder.get()


def check(before: tvm.IRModule, expected: list[str]) -> tvm.IRModule:
    after = apply(FoldBatchNorm(), before)
    assert ops(after) == expected
    x = rng.standard_normal((1, 3, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(run(after, x), run(before, x), rtol=1e-4, atol=1e-5)
    return after


def test_a_convolution_keeps_its_name_and_gets_scaled_weights_and_a_bias() -> None:
    after = check(module(), ["nn.conv2d", "add", "nn.relu"])
    assert after["main"].body.blocks[0].bindings[0].var.name == "conv"


def test_a_bias_before_the_normalization_is_folded_too() -> None:
    check(module(bias=True), ["nn.conv2d", "add", "nn.relu"])


def test_a_layer_that_others_read_as_well_stays_as_it_is() -> None:
    before = module(read_twice=True)
    after = check(before, ["nn.conv2d", "multiply", "add", "add"])
    np.testing.assert_array_equal(constants(after)[0], constants(before)[0])


def test_a_normalization_without_a_layer_becomes_a_multiplication_and_an_addition() -> None:
    check(module(layer=False), ["multiply", "add", "nn.relu"])


def test_zeros_stay_zeros() -> None:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 3, 6, 6), "float32"))
    weight = rng.standard_normal((3, 3, 3, 3)).astype(np.float32)
    weight[:, 1] = 0
    with builder.function("main", [x]):
        with builder.dataflow():
            y = builder.emit(relax.op.nn.conv2d(x, relax.const(weight)))
            stats = [number(3) for _ in range(4)]
            n = builder.emit(relax.op.nn.batch_norm(y, *stats, axis=1, training=False))
            out = builder.emit_output(relax.TupleGetItem(n, 0))
        builder.emit_func_output(out)
    after = apply(FoldBatchNorm(), builder.get())
    np.testing.assert_array_equal(constants(after)[0] == 0, weight == 0)
