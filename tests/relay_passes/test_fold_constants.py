from __future__ import annotations

import numpy as np
import pytest
from tvm import relax

from support.relax import apply, constants, ops
from tvm_sparse.relay_passes.fold_constants import FoldConstants

A = np.arange(1, 7, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda a: relax.op.permute_dims(a), A.T),
        (lambda a: relax.op.permute_dims(a, [1, 0]), A.T),
        (lambda a: relax.op.reshape(a, (3, 2)), A.reshape(3, 2)),
        (lambda a: relax.op.expand_dims(a, 0), A[None]),
        (lambda a: relax.op.multiply(a, relax.const(np.float32(2))), A * 2),
        (lambda a: relax.op.where(relax.op.isnan(a), a, relax.op.negative(a)), -A),
        (lambda a: relax.op.divide(a, relax.op.sqrt(a)), np.sqrt(A)),
    ],
)
def test_operators_on_constants_are_evaluated(call: object, expected: np.ndarray) -> None:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(expected.shape, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            value = builder.emit(call(relax.const(A)))  # type: ignore[operator]
            out = builder.emit_output(relax.op.add(x, value))
        builder.emit_func_output(out)
    after = relax.transform.CanonicalizeBindings()(apply(FoldConstants(), builder.get()))
    assert ops(after) == ["add"]
    np.testing.assert_allclose(constants(after)[-1], expected, rtol=1e-6)
    assert constants(after)[-1].shape == expected.shape


def test_operators_on_inputs_are_left_alone() -> None:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((2, 3), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            out = builder.emit_output(relax.op.add(x, relax.const(A)))
        builder.emit_func_output(out)
    assert ops(apply(FoldConstants(), builder.get())) == ["add"]
