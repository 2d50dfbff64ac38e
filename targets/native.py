"""What the machine at hand tells about itself."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import Any

_X86 = {"x86_64", "AMD64"}
_AVX2 = {"bits": 256, "registers": 16, "permute": "llvm.x86.avx2.permps"}
_AMX = ["avx512_vnni", "amx_tile", "amx_int8", "amx_bf16"]
_AVX512 = {"bits": 512, "registers": 32, "permute": "llvm.x86.avx512.permvar.sf.512"}


# Bits of Linux's hardware capabilities, by architecture (asm/hwcap.h); those of its second word
# begin at 64.
_CAPABILITIES = {
    "aarch64": {
        "fp": 0,
        "asimd": 1,
        "fphp": 9,
        "asimdhp": 10,
        "asimddp": 20,
        "sve": 22,
        "i8mm": 77,
    },
    "armv7l": {"neon": 12, "vfpv4": 16},
}
_AT_HWCAP, _AT_HWCAP2 = 16, 26
# Arm's own cores (asm/cputype.h); nearly always, the larger number is the faster core.
_ARM_PARTS = {
    0xC07: "Cortex-A7",
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77",
    0xD40: "Neoverse-V1",
    0xD41: "Cortex-A78",
    0xD42: "Cortex-A78AE",
    0xD49: "Neoverse-N2",
    0xD4F: "Neoverse-V2",
}
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def cpu_flags() -> frozenset[str]:
    """Return the CPU's feature flags as the operating system names them; empty if it does not."""
    if platform.machine() in _CAPABILITIES:
        told = ctypes.CDLL(None).getauxval
        told.restype = ctypes.c_ulong
        bits = told(_AT_HWCAP) | told(_AT_HWCAP2) << 64
        names = _CAPABILITIES[platform.machine()]
        return frozenset(name for name, bit in names.items() if bits >> bit & 1)
    flags = (value for name, value in _cpuinfo() if name in ("flags", "Features"))
    return frozenset(next(flags, "").split())


def cpu_name() -> str:
    """Return the CPU's model name; for ARM, which states numbers, that of its fastest cores."""
    told = _cpuinfo()
    models = [value for name, value in told if name == "model name"]
    if models:
        return models[0]
    parts = [int(value, 16) for name, value in told if name == "CPU part"]
    if parts:
        return _ARM_PARTS.get(max(parts), f"ARM part {max(parts):#x}")
    return platform.processor() or platform.machine()


def _cpuinfo() -> list[tuple[str, str]]:
    """Return the entries of Linux's list of CPUs."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            pairs = [line.partition(":") for line in lines]
    except OSError:
        return []
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def governor() -> str:
    """Return how the system chooses the clock, e.g. ``performance``."""
    return _GOVERNOR.read_text().strip() if _GOVERNOR.exists() else "unknown"


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def profile() -> dict[str, dict[str, Any]]:
    """Return the tables of a target profile that can be read from this machine."""
    flags = cpu_flags()
    wide = {"avx512f", "avx512vl", "avx512bw", "avx512dq"} <= flags
    if platform.machine() in _X86 and {"avx2", "fma"} <= flags:
        vector = _AVX512 if wide else _AVX2
        needs = ["avx2", "fma"] + (["avx512f", "avx512vl", "avx512bw", "avx512dq"] if wide else [])
        if wide and set(_AMX) <= flags:
            vector, needs = {**vector, "tile_cycles": 16.0}, [*needs, *_AMX]
    else:
        vector = {"bits": 128, "registers": 16 if platform.machine() in _X86 else 32}
        needs = []
    cache = {"l1": _cache(1, "size", 32 << 10), "l2": _cache(2, "size", 256 << 10)}
    cache["line"] = _cache(1, "coherency_line_size", 64)
    return {"vector": vector, "cache": cache, "cpu": {"cores": cores(), "needs": needs}}


def _cache(level: int, entry: str, otherwise: int) -> int:
    """Read an entry (size, coherency_line_size) of the first core's data cache, in bytes."""
    for cache in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            kind = (cache / "type").read_text().strip()
            if kind != "Instruction" and int((cache / "level").read_text()) == level:
                text = (cache / entry).read_text().strip()
                return int(text.rstrip("KM")) << {"K": 10, "M": 20}.get(text[-1], 0)
        except (OSError, ValueError):
            continue
    return otherwise
