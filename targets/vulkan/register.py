"""Make the device and the code generator known to TVM, unless TVM has its own."""

from __future__ import annotations

from typing import Any

from tvm_sparse.targets.vulkan import library


def register() -> None:
    """Register what this TVM lacks; nothing is compiled or opened before it is used.

    Without a Vulkan loader there is no device: ``tvm.device("vulkan").exist`` stays false, and
    compiling for Vulkan works all the same.
    """
    import tvm_ffi

    def lacks(name: str) -> bool:
        return tvm_ffi.get_global_func(name, allow_missing=True) is None

    if lacks("target.build.vulkan"):
        tvm_ffi.register_global_func("target.build.vulkan", _build)
        _keep_functions()
    if not lacks("device_api.vulkan") or not lacks("ffi.Module.load_from_bytes.vulkan"):
        return
    tvm_ffi.register_global_func("ffi.Module.load_from_bytes.vulkan", library.load_module)
    if library.loader_here():
        tvm_ffi.register_global_func("device_api.vulkan", _device_api)
        tvm_ffi.register_global_func("device_api.vulkan.get_target_property", _property)
        tvm_ffi.register_global_func("runtime.timer.vulkan", _timer)


def _build(mod: Any, target: Any) -> Any:
    from tvm_sparse.targets.vulkan.generator import build

    return build(mod, target)


def _keep_functions() -> None:
    from tvm_sparse.targets.vulkan.generator import keep_functions

    keep_functions()


def _device_api() -> Any:
    return library.function("device_api")()


def _property(device: Any, name: str) -> Any:
    return library.function("supports")(device, name)


def _timer(device: Any) -> Any:
    return library.function("timer")(device)
