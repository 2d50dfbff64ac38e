from __future__ import annotations

import numpy as np
import tvm
from tvm import relax

from support.relax import apply, constants, ops, run
from tvm_sparse.relay_passes.sink_transposes import SinkTransposes

BIAS = np.arange(8, dtype=np.float32)


def module(*steps: object, shape: tuple[int, ...] = (8, 5)) -> tvm.IRModule:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(shape, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            y = x
            for step in steps:
                y = builder.emit(step(y))  # type: ignore[operator]
            out = builder.emit_output(relax.op.multiply(y, relax.const(np.float32(1))))
        builder.emit_func_output(out)
    return builder.get()


def check(before: tvm.IRModule, expected: list[str]) -> tvm.IRModule:
    after = apply(SinkTransposes(), before)
    assert ops(after) == expected
    shape = [int(size) for size in before["main"].params[0].ty.shape.values]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(run(after, x), run(before, x))
    return after


def add_bias(y: relax.Expr) -> relax.Expr:
    return relax.op.add(y, relax.const(BIAS))


def transpose(y: relax.Expr) -> relax.Expr:
    return relax.op.permute_dims(y)


def test_transposes_around_elementwise_operators_cancel() -> None:
    before = module(transpose, add_bias, relax.op.nn.relu, transpose)
    after = check(before, ["add", "nn.relu", "multiply"])
    assert constants(after)[0].shape == (8, 1)


def test_transposes_around_quantization_by_computed_numbers_cancel() -> None:
    x = relax.Var("x", relax.TensorType((8, 5), "float32"))
    v = relax.Var("v", relax.TensorType((8,), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x, v]):
        with builder.dataflow():
            y = builder.emit(relax.op.add(builder.emit(transpose(x)), v))
            most = builder.emit(relax.op.max(y))
            q = builder.emit(relax.op.quantize(y, most, relax.const(3, "uint8"), 0, "uint8"))
            out = builder.emit_output(transpose(q))
        builder.emit_func_output(out)
    before = builder.get()
    after = apply(SinkTransposes(), before)
    assert ops(after) == ["reshape", "add", "max", "quantize"]
    given = np.random.default_rng(0).random((8, 5)).astype(np.float32), BIAS
    np.testing.assert_array_equal(run(after, *given), run(before, *given))


def test_a_transpose_moves_below_what_follows_it() -> None:
    check(module(transpose, add_bias), ["add", "multiply", "permute_dims"])


def test_reshapes_of_the_rows_cancel_with_transposes() -> None:
    before = module(
        transpose,
        lambda y: relax.op.reshape(y, (1, 5, 8)),
        add_bias,
        lambda y: relax.op.reshape(y, (5, 8)),
        transpose,
    )
    check(before, ["add", "multiply"])


def test_reshapes_that_break_up_features_stay() -> None:
    before = module(
        transpose, lambda y: relax.op.reshape(y, (5, 2, 4)), relax.op.nn.relu, shape=(8, 5)
    )
    check(before, ["permute_dims", "reshape", "nn.relu", "multiply"])


def test_a_transpose_that_some_reader_needs_stays() -> None:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((8, 5), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            t = builder.emit(relax.op.permute_dims(x))
            out = builder.emit_output(
                relax.op.matmul(relax.op.nn.relu(t), relax.op.permute_dims(t))
            )
        builder.emit_func_output(out)
    after = apply(SinkTransposes(), builder.get())
    assert "permute_dims" in ops(after)


def test_layer_norms_and_residuals_work_on_transposed_matrices() -> None:
    gamma, beta = (relax.const(BIAS + number) for number in (1, 2))
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 5, 8), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            row = builder.emit(relax.op.reshape(x, (5, 8)))
            kernel = builder.emit(relax.op.cumsum(relax.op.permute_dims(row), axis=1))
            y = builder.emit(relax.op.reshape(relax.op.permute_dims(kernel), (1, 5, 8)))
            y = builder.emit(relax.op.nn.layer_norm(relax.op.add(x, y), gamma, beta, axes=[-1]))
            z = builder.emit(relax.op.permute_dims(relax.op.reshape(y, (5, 8))))
            out = builder.emit_output(relax.op.multiply(z, relax.const(np.float32(2))))
        builder.emit_func_output(out)
    check(
        builder.get(),
        ["reshape", "permute_dims", "cumsum", "add", "nn.layer_norm", "multiply"],
    )


def test_two_layouts_of_one_matrix_are_made_once() -> None:
    before = module(lambda y: relax.op.add(transpose(y), transpose(y)))
    check(before, ["add", "multiply", "permute_dims"])
