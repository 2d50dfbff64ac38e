"""The bytes of a module are those of TVM's own serializer, so that a TVM with Vulkan loads them."""

from __future__ import annotations

import struct
from pathlib import Path

import tvm
from tvm import s_tir, te

from tvm_sparse.targets.vulkan import container
from tvm_sparse.targets.vulkan.spirv.kernel import Kernel


def test_interfaces_are_written_as_tvm_writes_them_for_other_gpus(tmp_path: Path) -> None:
    x = te.placeholder((64,), "float32", "X")
    y = te.compute((64,), lambda i: x[i] + x[i], name="Y")
    sch = s_tir.Schedule(te.create_prim_func([x, y]).with_attr("global_symbol", "double"))
    sch.bind(sch.get_loops("Y")[0], "threadIdx.x")
    target = tvm.target.Target({"kind": "opencl"}, host="llvm")
    library = tvm.tirx.build(sch.mod, target=target, pipeline="s_tir")
    library.export_library(str(tmp_path / "double.so"))
    kernel = Kernel(
        name="double_kernel",
        code=struct.pack("<I", 0x07230203),
        flags=0,
        arguments=("handle", "handle"),
        launch=("threadIdx.x",),
    )
    shaders = struct.pack("<QQ", 1, len(kernel.name)) + kernel.name.encode()
    written = container.pack([kernel])
    interfaces = written[written.index(b"vulkan") + len("vulkan") : written.index(shaders, 30)]
    assert len(interfaces) > 90
    assert interfaces in (tmp_path / "double.so").read_bytes()
    assert written.endswith(shaders + struct.pack("<QIQI", 16, 0, 1, 0x07230203))
