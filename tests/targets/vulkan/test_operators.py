"""Operators on the Vulkan device against the CPU, through our pipeline and TVM's schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm import relax

import tvm_sparse as ts
from support import relax as relax_support
from tvm_sparse.errors import ModelError
from tvm_sparse.targets.vulkan import describe

pytestmark = pytest.mark.vulkan
R = relax.op
Array = npt.NDArray[Any]


def model(build: Callable[..., Any], *inputs: Array) -> tvm.IRModule:
    builder = relax.BlockBuilder()
    params = [
        relax.Var(f"x{i}", relax.TensorType(x.shape, str(x.dtype))) for i, x in enumerate(inputs)
    ]
    with builder.function("main", params):
        with builder.dataflow():
            out = builder.emit_output(build(*params))
        builder.emit_func_output(out)
    return builder.get()


def floats(*shape: int, dtype: str = "float32") -> Array:
    drawn: Array = np.random.default_rng(sum(shape)).standard_normal(shape) / 2
    return drawn.astype(dtype)


def integers(*shape: int, dtype: str = "int32", least: int = -9, most: int = 10) -> Array:
    return np.random.default_rng(sum(shape)).integers(least, most, shape).astype(dtype)


CASES: dict[str, tuple[Callable[..., Any], list[Array]]] = {
    "convolution": (
        lambda x, w: R.nn.conv2d(x, w, strides=2, padding=1),
        [floats(2, 6, 13, 11), floats(10, 6, 3, 3)],
    ),
    "depthwise convolution": (
        lambda x, w: R.nn.conv2d(x, w, padding=1, groups=16),
        [floats(1, 16, 14, 14), floats(16, 1, 3, 3)],
    ),
    "max pooling": (lambda x: R.nn.max_pool2d(x, (3, 3), (2, 2), 1), [floats(1, 8, 15, 15)]),
    "mean": (lambda x: R.mean(x, [2, 3]), [floats(1, 16, 7, 7)]),
    "softmax": (lambda x: R.nn.softmax(x), [floats(33, 257)]),
    "layer norm": (
        lambda x, g, b: R.nn.layer_norm(x, g, b, [-1]),
        [floats(33, 64), floats(64), floats(64)],
    ),
    "matrix product": (lambda a, b: R.matmul(a, b), [floats(3, 37, 65), floats(3, 65, 41)]),
    "matrix times vector": (lambda a, b: R.matmul(a, b), [floats(1, 256), floats(256, 130)]),
    "product of halves": (
        lambda a, b: R.matmul(a, b),
        [floats(40, 64, dtype="float16"), floats(64, 48, dtype="float16")],
    ),
    "product of bytes": (
        lambda a, b: R.matmul(a, b, out_dtype="int32"),
        [integers(33, 64, dtype="int8"), integers(64, 40, dtype="int8")],
    ),
    "largest index": (lambda x: R.argmax(x, 1), [floats(33, 100)]),
    "selection by int64": (
        lambda x, i: R.take(x, i, 0),
        [floats(50, 16), integers(20, dtype="int64", least=0, most=50)],
    ),
    "where": (lambda x, y: R.where(R.greater(x, y), x, y), [floats(50, 16), floats(50, 17)[:, 1:]]),
    "comparison": (lambda x, y: R.less_equal(x, y), [integers(50, 16), integers(50, 16)]),
    "chain of functions": (
        lambda x: R.tanh(R.erf(R.sigmoid(R.power(x, relax.const(3.0, "float32"))))),
        [floats(40, 41)],
    ),
    "rounding": (lambda x: R.round(R.floor(x) + R.ceil(x) + R.abs(x)), [floats(99) * 4]),
    "logarithms": (lambda x: R.log(R.exp(x) + R.rsqrt(R.abs(x))), [floats(99)]),
    "integer division": (
        lambda x, y: R.floor_divide(x, y),
        [integers(99), integers(99, least=1, most=5)],
    ),
    "shift": (lambda x, y: R.right_shift(x, y), [integers(64), integers(64, least=0, most=4)]),
    "running sum": (lambda x: R.cumsum(x, axis=1), [floats(4, 100, 3)]),
    "running product": (lambda x: R.cumprod(x, axis=0), [floats(9, 30) + 1]),
    "resize": (
        lambda x: R.image.resize2d(x, relax.ShapeExpr([13, 13]), method="linear", layout="NCHW"),
        [floats(1, 3, 8, 8)],
    ),
    "concatenation": (
        lambda x, y: R.strided_slice(R.concat([x, y], 1), [1], [3], [20]),
        [floats(4, 16), floats(4, 16)],
    ),
    "transpose": (lambda x: R.permute_dims(x, [1, 2, 0]), [floats(33, 5, 70)]),
}


@pytest.mark.parametrize("name", CASES)
def test_operators_equal_the_cpu(name: str, device: Any) -> None:
    build, inputs = CASES[name]
    inputs = [np.ascontiguousarray(x) for x in inputs]
    mod = model(build, *inputs)
    found = ts.build(mod, "vulkan")(*inputs)
    expected = relax_support.run(mod, *inputs)
    assert found.dtype == expected.dtype
    if found.dtype.kind != "f":
        assert np.array_equal(found, expected)
        return
    tolerance = 1e-2 if found.dtype == np.float16 else 1e-4
    np.testing.assert_allclose(found, expected, tolerance, tolerance * np.abs(expected).max())


def test_powers_of_negative_numbers_have_the_sign_that_c_gives_them(device: Any) -> None:
    x = np.array([-2, -1, 0, 1, 3, -2, -2, 0], np.float32)
    y = np.array([3, 2, 0, 5, -1, -2, 0.5, 2], np.float32)
    found = ts.build(model(lambda a, b: R.power(a, b), x, y), "vulkan")(x, y)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(found, np.power(x, y), 1e-5)


def test_scans_that_need_warps_in_step_are_refused(device: Any) -> None:
    x = floats(4, 100)
    with pytest.raises(ModelError, match="wrong on Vulkan"):
        tvm.compile(
            model(lambda x: R.cumsum(x, axis=1), x), ts.Target(name="gpu", tvm=NATIVE).to_tvm()
        )


def test_types_that_the_target_lacks_are_refused_by_name(device: Any) -> None:
    x = floats(4, 4, dtype="float16")
    target = ts.Target(name="plain", tvm={"kind": "vulkan"})
    with pytest.raises(ModelError, match=r"capability .*16.* the target does not say supports_"):
        ts.build(model(lambda x: R.add(x, x), x), target)


def test_a_profile_states_what_the_device_has(device: Any) -> None:
    stated = ts.Target(name="gpu", tvm=NATIVE).to_tvm().attrs
    assert stated["thread_warp_size"] == 1
    assert stated["max_shared_memory_per_block"] == device.max_shared_memory_per_block
    assert stated["supports_int8"] == describe.here()["supports_int8"]


NATIVE = {"kind": "vulkan", "device": "native"}
