from __future__ import annotations

from pathlib import Path

import pytest
import tvm

from tvm_sparse import targets
from tvm_sparse.errors import TargetError
from tvm_sparse.targets import native

GOOD = """
description = "a device"
[tvm]
kind = "llvm"
mtriple = "aarch64-linux-gnu"
mcpu = "cortex-a72"
[vector]
bits = 128
registers = 32
[cpu]
cores = 4
needs = ["asimd"]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "device.toml"
    path.write_text(text)
    return path


def test_kernels_for_gpus_without_vulkan_are_built_but_not_measured(tmp_path: Path) -> None:
    path = write(tmp_path, '[tvm]\nkind = "opencl"\nmax_threads_per_block = 256\n')
    with pytest.raises(TargetError, match="tune and profile know CPUs, and GPUs through Vulkan"):
        targets.load_here(path)


@pytest.mark.parametrize("name", targets.names())
def test_every_packaged_profile_is_a_target_that_tvm_accepts(name: str) -> None:
    profile = targets.load(name)
    assert profile.name == name
    assert profile.lanes in {4, 8, 16}
    target = profile.to_tvm()
    assert target.kind.name == profile.tvm["kind"]
    assert (target.host if profile.is_gpu else target).attrs["num-cores"] == profile.cores


def test_a_profile_of_ones_own_is_read_from_its_path(tmp_path: Path) -> None:
    profile = targets.load(write(tmp_path, GOOD))
    assert (profile.name, profile.lanes, profile.registers) == ("device", 4, 32)
    assert profile.missing() == ["asimd"]
    assert profile.permute == ""


def test_x86_is_this_machine() -> None:
    profile = targets.load("x86")
    assert profile.missing() == []
    assert profile.cores >= 1
    assert "native" not in str(profile.to_tvm())


def test_a_target_of_tvms_becomes_the_nearest_profile() -> None:
    avx512 = targets.load(tvm.target.Target({"kind": "llvm", "mcpu": "skylake-avx512"}))
    assert (avx512.lanes, avx512.registers) == (16, 32)
    avx2 = targets.load(tvm.target.Target({"kind": "llvm", "mcpu": "haswell", "num-cores": 3}))
    assert (avx2.lanes, avx2.registers, avx2.cores) == (8, 16, 3)
    assert avx512.permute.startswith("llvm.x86.avx512")
    assert avx2.permute.startswith("llvm.x86.avx2")


def test_an_intrinsic_is_named_by_a_string(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="permute must be a str"):
        targets.load(write(tmp_path, GOOD.replace("bits", "permute = 3\nbits")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tvm", "cannot read the target profile"),
        ("description = 'x'", r"table \[tvm\]"),
        (GOOD.replace("bits = 128", "bits = -1"), "bits must be a positive int"),
        (GOOD.replace("bits = 128", "bits = 'wide'"), "bits must be a positive int"),
        (GOOD.replace("registers", "regs"), "unknown regs"),
        (GOOD + "[extra]\nx = 1", "unknown extra"),
        (GOOD.replace('["asimd"]', "3"), "needs must be"),
    ],
)
def test_invalid_profiles_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        targets.load(write(tmp_path, text))


def test_what_tvm_refuses_is_our_error(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace('mcpu = "cortex-a72"', "no-such-attribute = 1"))
    with pytest.raises(TargetError, match="device"):
        targets.load(path).to_tvm()


@pytest.mark.parametrize("name", ["riscv", "missing.toml", "../x86.toml"])
def test_unknown_targets_are_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(TargetError, match="x86-avx2"):
        targets.load(name)


def test_arm_cpus_are_named_after_their_fastest_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [("processor", "0"), ("CPU part", "0xd05"), ("CPU part", "0xd0b"), ("Features", "fp")]
    monkeypatch.setattr(native, "_cpuinfo", lambda: parts)
    assert native.cpu_name() == "Cortex-A76"
    monkeypatch.setattr(native, "_cpuinfo", lambda: [("CPU part", "0xabc")])
    assert native.cpu_name() == "ARM part 0xabc"
