"""What a Vulkan device offers, as attributes of TVM's target."""

from __future__ import annotations

from typing import Any

from tvm_sparse.errors import TargetError
from tvm_sparse.targets import native
from tvm_sparse.targets.vulkan import library

# What every device of Vulkan 1.1 has. A warp of one thread: drivers differ in which threads run
# together, so that nothing may be taken to run in step.
_LEAST = {
    "max_threads_per_block": 128,
    "max_num_threads": 128,
    "max_shared_memory_per_block": 16384,
    "thread_warp_size": 1,
}
_FEATURES = (
    "supports_float16",
    "supports_float64",
    "supports_int8",
    "supports_int16",
    "supports_int64",
    "supports_8bit_buffer",
    "supports_16bit_buffer",
    "supports_integer_dot_product",
)
# More threads in a workgroup than this leave each too few registers on many devices.
_THREADS = 256
_ON_CPUS = ("llvmpipe", "SwiftShader")


def attributes(own: dict[str, Any]) -> dict[str, Any]:
    """Return a target's attributes: its own, then this machine's where it asks for them.

    Parameters
    ----------
    own : dict
        The table [tvm] of a profile; ``device = "native"`` stands for the device at hand.
    """
    found = dict(own)
    if found.pop("device", None) != "native":
        return {**_LEAST, **found}
    return {**_LEAST, **here(), **found}


def here(index: int = 0) -> dict[str, Any]:
    """Return the attributes of a device of this machine; none without a loader or a driver."""
    import tvm

    device = tvm.device("vulkan", index)
    if not device.exist:
        return {}
    supports = tvm.get_global_func("device_api.vulkan.get_target_property")
    threads = min(int(device.max_threads_per_block), _THREADS)
    return {
        "max_threads_per_block": threads,
        "max_num_threads": threads,
        "max_shared_memory_per_block": int(device.max_shared_memory_per_block),
        "supported_subgroup_operations": int(supports(device, "supported_subgroup_operations")),
        **{name: True for name in _FEATURES if supports(device, name)},
    }


def identity(index: int = 0) -> dict[str, str]:
    """Return the name of a device of this machine and its driver's version; empty if there is none.

    A device that computes on the CPU is as fast as that, whose name is added.
    """
    import tvm

    device = tvm.device("vulkan", index)
    if not device.exist:
        return {}
    version = int(device.driver_version)
    numbers = version >> 22, version >> 12 & 0x3FF, version & 0xFFF  # of Vulkan
    name = str(device.device_name)
    if name.startswith(_ON_CPUS):
        name = f"{name} on {native.cores()} × {native.cpu_name()}"
    return {"device": name, "driver": ".".join(map(str, numbers))}


def demand() -> None:
    """Check that kernels can run on this machine.

    Raises
    ------
    TargetError
        If there is no loader, or no driver.
    """
    import tvm

    if tvm.device("vulkan").exist:
        return
    lack = "driver for a device" if library.loader_here() else "loader"
    raise TargetError(
        f"this machine has no Vulkan {lack}: "
        "apt-get install libvulkan1 mesa-vulkan-drivers, or the driver of your GPU's maker"
    )
