"""A Vulkan device for tests: Mesa's lavapipe, which computes on the CPU."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tvm

from tvm_sparse import targets
from tvm_sparse.targets import Target
from tvm_sparse.targets.vulkan import container
from tvm_sparse.targets.vulkan.spirv.kernel import Kernel

_DRIVER = Path(f"/usr/share/vulkan/icd.d/lvp_icd.{platform.machine()}.json")

LAYER = Path("/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json")


def device() -> Any:
    """The device; a test is skipped without one, and fails where the CI should have it."""
    if _DRIVER.is_file():
        os.environ.setdefault("VK_DRIVER_FILES", str(_DRIVER))
    found = tvm.device("vulkan")
    if not found.exist:
        _lacking("a Vulkan driver: apt-get install libvulkan1 mesa-vulkan-drivers")
    return found


def target() -> Target:
    """The profile of the device."""
    device()
    return targets.load("vulkan")


def demand_validation_layer() -> None:
    """Skip a test without Vulkan's validation layer, and fail where the CI should have it."""
    if not LAYER.is_file():
        _lacking("Vulkan's validation layer: apt-get install vulkan-validationlayers")


@contextmanager
def validated(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[None]:
    """Check every kernel that is built with the SPIR-V validator."""
    if shutil.which("spirv-val") is None:
        _lacking("spirv-val: apt-get install spirv-tools")
    pack = container.pack

    def checked(kernels: Sequence[Kernel]) -> bytes:
        for kernel in kernels:
            _validate(kernel, folder)
        return pack(kernels)

    monkeypatch.setattr(container, "pack", checked)
    yield


def _validate(kernel: Kernel, folder: Path) -> None:
    file = folder / f"{kernel.name}.spv"
    file.write_bytes(kernel.code)
    command = ["spirv-val", "--target-env", "vulkan1.1", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{kernel.name}: {done.stderr or done.stdout}"


def _lacking(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"the CI must have {what}")
    pytest.skip(f"needs {what}")
