"""The compiled device, loaded when something first asks for it."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from tvm_sparse.targets.vulkan.compile import library

_PREFIX = "tvm_sparse.vulkan."


def loader_here() -> bool:
    """Whether this machine has a Vulkan loader; says nothing about drivers."""
    for name in ("libvulkan.so.1", "libvulkan.so", "libvulkan.1.dylib"):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def load_module(content: bytes) -> Any:
    """Return the runtime module that `container.pack` packed, or TVM's own runtime wrote.

    Raises
    ------
    TargetError
        If the device cannot be compiled.
    """
    return function("load_module")(content)


@cache
def function(name: str) -> Any:
    """Return a function of the compiled device.

    Raises
    ------
    TargetError
        If the device cannot be compiled.
    """
    import tvm_ffi

    _load()
    return tvm_ffi.get_global_func(_PREFIX + name)


@cache
def _load() -> ctypes.CDLL:
    return ctypes.CDLL(str(library()), ctypes.RTLD_LOCAL)
