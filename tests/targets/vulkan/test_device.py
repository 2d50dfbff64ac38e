"""The Vulkan device under TVM's runtime: memory, copies, launches, time, errors."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import rpc, s_tir, te, tirx

from support import lavapipe
from tvm_sparse.errors import TargetError
from tvm_sparse.targets.vulkan import compile, library

pytestmark = pytest.mark.vulkan


def adder(size: int, threads: int = 64) -> Any:
    """A compiled kernel Y = X + 1."""
    x = te.placeholder((size,), "float32", "X")
    y = te.compute((size,), lambda i: x[i] + tirx.const(1.0, "float32"), name="Y")
    sch = s_tir.Schedule(te.create_prim_func([x, y]).with_attr("global_symbol", "add_one"))
    (loop,) = sch.get_loops("Y")
    group, thread = sch.split(loop, [None, threads])
    sch.bind(group, "blockIdx.x")
    sch.bind(thread, "threadIdx.x")
    return tvm.compile(sch.mod, lavapipe.target().to_tvm())["add_one"]


def test_copies_larger_than_the_staging_memory_keep_every_byte(device: Any) -> None:
    sent = np.random.default_rng(0).integers(0, 256, (9 << 20) + 13, np.uint8)
    there = tvm.runtime.tensor(sent, device)
    again = tvm.runtime.empty(sent.shape, "uint8", device)
    again.copyfrom(there)
    assert np.array_equal(again.numpy(), sent)


def test_buffers_that_share_an_allocation_do_not_touch_each_other(device: Any) -> None:
    kept = [tvm.runtime.tensor(np.full(n, n, np.int32), device) for n in (1, 17, 1000, 33)]
    for _ in range(3):  # freed and used again in between
        tvm.runtime.tensor(np.zeros(5000, np.int32), device)
    for tensor in kept:
        assert np.array_equal(tensor.numpy(), np.full(tensor.shape, tensor.shape[0]))


def test_launches_run_in_order_across_batches(device: Any) -> None:
    add_one = adder(100)
    a = tvm.runtime.tensor(np.zeros(100, np.float32), device)
    b = tvm.runtime.empty((100,), "float32", device)
    for _ in range(100):
        add_one(a, b)
        add_one(b, a)
    assert np.array_equal(a.numpy(), np.full(100, 200.0))


def test_threads_launch_side_by_side(device: Any) -> None:
    add_one = adder(64)
    found: dict[int, float] = {}

    def work(number: int) -> None:
        a = tvm.runtime.tensor(np.full(64, number, np.float32), device)
        b = tvm.runtime.empty((64,), "float32", device)
        for _ in range(40):
            add_one(a, b)
            add_one(b, a)
        found[number] = float(a.numpy()[63])

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == {number: number + 80.0 for number in range(4)}


def test_grids_beyond_the_limit_are_split(device: Any) -> None:
    size = 65535 * 2 + 100
    a = tvm.runtime.tensor(np.arange(size, dtype=np.float32), device)
    b = tvm.runtime.empty((size,), "float32", device)
    adder(size, threads=1)(a, b)
    assert np.array_equal(b.numpy(), np.arange(size) + 1)


def test_time_evaluator_measures_the_device(device: Any) -> None:
    a = tvm.runtime.tensor(np.zeros(64, np.float32), device)
    b = tvm.runtime.empty((64,), "float32", device)
    x = te.placeholder((64,), "float32", "X")
    y = te.compute((64,), lambda i: x[i] * x[i], name="Y")
    sch = s_tir.Schedule(te.create_prim_func([x, y]).with_attr("global_symbol", "square"))
    sch.bind(sch.get_loops("Y")[0], "threadIdx.x")
    compiled = tvm.compile(sch.mod, lavapipe.target().to_tvm())
    assert compiled.mod.time_evaluator("square", device, number=3, repeat=2)(a, b).mean > 0


def test_an_absent_device_is_named_in_the_error(device: Any) -> None:
    absent = tvm.device("vulkan", 99)
    assert not absent.exist
    with pytest.raises(RuntimeError, match="no device 99, drivers offer"):
        tvm.runtime.empty((4,), "float32", absent)


def test_too_much_memory_is_refused_with_its_size(device: Any) -> None:
    with pytest.raises(RuntimeError, match=r"out of memory on .* bytes were asked for"):
        tvm.runtime.empty((1 << 46,), "float32", device)
    assert tvm.runtime.tensor(np.ones(3), device).numpy().sum() == 3


def test_workgroups_larger_than_the_device_allows_are_refused(device: Any) -> None:
    add_one = adder(1 << 14, threads=1 << 13)
    a = tvm.runtime.empty((1 << 14,), "float32", device)
    with pytest.raises(RuntimeError, match=r"needs 8192 threads .* the device allows"):
        add_one(a, a)


def test_a_damaged_module_is_refused(device: Any) -> None:
    with pytest.raises(ValueError, match="end too early; build it again"):
        library.load_module(b"\x06\0\0\0\0\0\0\0vulkan\x01")


def test_the_device_is_compiled_once_and_errors_tell_what_is_missing(
    device: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert compile.library() == compile.library()
    monkeypatch.setenv(compile.VARIABLE, str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(TargetError, match=r"no C\+\+ compiler was found: apt-get install g\+\+"):
        compile.library()


def test_a_device_serves_over_rpc(device: Any, tmp_path: Path) -> None:
    x = te.placeholder((64,), "float32", "X")
    y = te.compute((64,), lambda i: x[i] + x[i], name="Y")
    sch = s_tir.Schedule(te.create_prim_func([x, y]).with_attr("global_symbol", "double"))
    sch.bind(sch.get_loops("Y")[0], "threadIdx.x")
    compiled = tvm.compile(sch.mod, lavapipe.target().to_tvm())
    compiled.export_library(str(tmp_path / "double.so"))
    server = rpc.Server(host="127.0.0.1", port=9300, port_end=9399, silent=True)
    try:
        session = rpc.connect(server.host, server.port)
        session.upload(str(tmp_path / "double.so"))
        there = session.device("vulkan")
        a = tvm.runtime.tensor(np.arange(64, dtype=np.float32), there)
        b = tvm.runtime.empty((64,), "float32", there)
        session.load_module("double.so")["double"](a, b)
        assert np.array_equal(b.numpy(), np.arange(64) * 2)
        del a, b
    finally:
        server.terminate()


def test_without_a_driver_tvm_works_and_has_no_device() -> None:
    script = (
        "import numpy as np, tvm, tvm_sparse as ts\n"
        "assert not tvm.device('vulkan').exist\n"
        "assert tvm.runtime.tensor(np.ones(2)).numpy().sum() == 2\n"
        "from tvm_sparse.targets.vulkan import describe\n"
        "try: describe.demand()\n"
        "except Exception as error: print(error)\n"
    )
    lavapipe.device()
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "VK_DRIVER_FILES": "/nowhere.json"},
    )
    assert done.returncode == 0, done.stderr
    assert "this machine has no Vulkan driver for a device" in done.stdout
