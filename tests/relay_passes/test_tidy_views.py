from __future__ import annotations

import numpy as np
import tvm
from tvm import relax

from support.relax import apply, ops, run
from tvm_sparse.relay_passes.tidy_views import TidyViews

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)


def tidied(shape: tuple[int, ...], *steps: object) -> list[str]:
    """The operators after the pass, whose results are those of before."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(shape, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            y = x
            for step in steps:
                y = builder.emit(step(y))  # type: ignore[operator]
            out = builder.emit_output(relax.op.negative(y))
        builder.emit_func_output(out)
    before: tvm.IRModule = builder.get()
    after = apply(TidyViews(), before)
    data = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(run(after, data), run(before, data))
    return ops(after)


def test_transposes_of_axes_of_size_one_are_reshapes() -> None:
    def turned(y: relax.Expr) -> relax.Expr:
        return relax.op.permute_dims(y, [1, 0, 2])

    assert tidied((1, 5, 3), turned) == ["reshape", "negative"]
    assert tidied((2, 5, 3), turned) == ["permute_dims", "negative"]


def test_squeezed_and_expanded_tensors_are_reshapes() -> None:
    steps = (lambda y: relax.op.expand_dims(y, [0]), lambda y: relax.op.squeeze(y, [2]))
    assert tidied((5, 1, 3), *steps) == ["reshape", "reshape", "negative"]


def test_a_weight_for_every_row_of_a_batch_is_a_matrix() -> None:
    def product(y: relax.Expr) -> relax.Expr:
        return relax.op.matmul(y, relax.op.broadcast_to(relax.const(WEIGHT), (2, 3, 4)))

    assert tidied((2, 5, 3), product) == ["matmul", "negative"]


def test_a_row_for_every_weight_of_a_batch_stays() -> None:
    def product(y: relax.Expr) -> relax.Expr:
        return relax.op.matmul(y, relax.op.broadcast_to(relax.const(WEIGHT), (2, 3, 4)))

    assert tidied((1, 5, 3), product) == ["broadcast_to", "matmul", "negative"]
