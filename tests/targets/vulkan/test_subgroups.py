"""What threads compute together: subgroups, reductions over workgroups, atomic additions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm import relax, s_tir, te
from tvm.script import tirx as T

from support import lavapipe, workgroups
from support import relax as relax_support
from tvm_sparse import subgroups
from tvm_sparse.building import compile_module
from tvm_sparse.errors import ModelError
from tvm_sparse.relay_passes import gpu_pipeline
from tvm_sparse.targets import Target
from tvm_sparse.targets.vulkan import container
from tvm_sparse.targets.vulkan.spirv.codes import Op
from tvm_sparse.targets.vulkan.spirv.kernel import Kernel

pytestmark = pytest.mark.vulkan

THREADS = 48
_NUMPY: dict[str, Any] = {"add": np.sum, "max": np.max, "min": np.min}
_INTRINSIC = "supported_subgroup_operations"
Array = npt.NDArray[Any]


def of_threads(value: Callable[[Any], Any], dtype: str) -> tvm.IRModule:
    """A kernel Y[i] = value of X[i], in workgroups of `THREADS` threads."""
    x = te.placeholder((4 * THREADS,), dtype, "X")
    y = te.compute(x.shape, lambda i: value(x(i)), name="Y")
    sch = s_tir.Schedule(te.create_prim_func([x, y]).with_attr("global_symbol", "main"))
    group, thread = sch.split(sch.get_loops("Y")[0], [None, THREADS])
    sch.bind(group, "blockIdx.x")
    sch.bind(thread, "threadIdx.x")
    return sch.mod


def run(mod: tvm.IRModule, x: Array, device: Any, target: Any = None) -> Array:
    function = tvm.tirx.build(mod, target=target or workgroups.target(), pipeline="s_tir")["main"]
    y = tvm.runtime.empty(x.shape, str(x.dtype), device)
    function(tvm.runtime.tensor(x, device), y)
    found: Array = y.numpy()
    return found


def numbers(dtype: str) -> Array:
    return (np.random.default_rng(0).standard_normal(4 * THREADS) * 100).astype(dtype)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("add", "float32"), ("max", "float32"), ("add", "int32"), ("min", "int32")],
)
def test_threads_of_a_workgroup_reduce(name: str, dtype: str, device: Any) -> None:
    x = numbers(dtype)
    found = run(of_threads(lambda x: subgroups.workgroup_reduce(name, x), dtype), x, device)
    expected = _NUMPY[name](x.reshape(-1, THREADS), axis=1).repeat(THREADS)
    np.testing.assert_allclose(found, expected, 1e-5, 1e-3)


def test_threads_of_a_subgroup_reduce_and_exchange(device: Any) -> None:
    x, size = numbers("int32"), device.warp_size
    found = run(of_threads(lambda x: subgroups.subgroup_reduce("add", x), "int32"), x, device)
    assert np.array_equal(found, x.reshape(-1, size).sum(axis=1).repeat(size))
    found = run(of_threads(lambda x: subgroups.subgroup_shuffle_xor(x, 1), "int32"), x, device)
    assert np.array_equal(found, x.reshape(-1, 2)[:, ::-1].reshape(-1))


def test_subgroups_that_the_target_lacks_are_refused_by_name(device: Any) -> None:
    plain = tvm.target.Target({"kind": "vulkan"}, host="llvm")
    mod = of_threads(lambda x: subgroups.subgroup_reduce("add", x), "float32")
    with pytest.raises(
        ModelError, match=f"GroupNonUniform, and the target does not say {_INTRINSIC}"
    ):
        run(mod, numbers("float32"), device, plain)


def softmax() -> tvm.IRModule:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((33, 257), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            y = builder.emit_output(relax.op.nn.softmax(x))
        builder.emit_func_output(y)
    return builder.get()


def instructions(code: bytes) -> list[int]:
    words, at, found = np.frombuffer(code, "<u4"), 5, []
    while at < len(words):
        found.append(int(words[at] & 0xFFFF))
        at += int(words[at] >> 16)
    return found


@pytest.mark.parametrize("operations", [None, 0], ids=["in subgroups", "without subgroups"])
def test_softmax_reduces_in_subgroups_where_there_are_any(
    operations: int | None, device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    attributes = dict(lavapipe.target().to_tvm().attrs)
    if operations is not None:
        attributes[_INTRINSIC] = operations
    target = Target(name="gpu", tvm={"kind": "vulkan", **attributes})
    seen: list[Kernel] = []
    pack = container.pack

    def noted(kernels: Sequence[Kernel]) -> bytes:
        seen.extend(kernels)
        return pack(kernels)

    monkeypatch.setattr(container, "pack", noted)
    x = np.random.default_rng(0).standard_normal((33, 257)).astype(np.float32)
    found = compile_module(softmax(), target, gpu_pipeline.pipeline_of(target))(x)
    np.testing.assert_allclose(found, relax_support.run(softmax(), x), 1e-4, 1e-7)
    used = {op for kernel in seen for op in instructions(kernel.code)}
    assert (Op.GroupNonUniformFMax in used) == (operations is None)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_threads_add_to_the_same_numbers(dtype: str, device: Any) -> None:
    # fmt: off
    @T.prim_func(s_tir=True)
    def total(X: T.Buffer((4096,), dtype), Y: T.Buffer((4,), dtype)):  # type: ignore[no-untyped-def,valid-type]
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        for group in T.thread_binding(64, thread="blockIdx.x"):
            for thread in T.thread_binding(64, thread="threadIdx.x"):
                with T.sblock("add"):
                    i = T.axis.opaque(4096, group * 64 + thread)
                    T.reads(X[i])
                    T.writes(Y[0:4])
                    T.evaluate(T.call_intrin(
                        dtype, "tirx.atomic_add", T.address_of(Y[i % 4]), X[i],
                    ))
    # fmt: on
    x = np.random.default_rng(0).integers(-9, 10, 4096).astype(dtype)  # sums are exact
    y = tvm.runtime.tensor(np.arange(4).astype(dtype), device)
    target = workgroups.target()
    function = tvm.tirx.build(tvm.IRModule({"main": total}), target=target, pipeline="s_tir")
    function["main"](tvm.runtime.tensor(x, device), y)
    assert np.array_equal(y.numpy(), x.reshape(-1, 4).sum(axis=0) + np.arange(4))
