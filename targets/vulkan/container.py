"""Kernels as the bytes of a module of TVM's Vulkan runtime, which a phone's TVM loads too.

TVM's serializer writes numbers little-endian, and a 64-bit length before every text, list and map.
A module is its format, a map of interfaces and a map of shaders.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence

from tvm_sparse.targets.vulkan.spirv.kernel import Kernel

_CODES = {"int": 0, "uint": 1, "float": 2, "handle": 3, "bool": 6}


def pack(kernels: Sequence[Kernel]) -> bytes:
    r"""Return the bytes of a module.

    Examples
    --------
    >>> pack([])[:14]
    b'\x06\x00\x00\x00\x00\x00\x00\x00vulkan'
    """
    interfaces = [_text(kernel.name) + _interface(kernel) for kernel in kernels]
    shaders = [_text(kernel.name) + _bytes(_shader(kernel)) for kernel in kernels]
    return _text("vulkan") + _list(interfaces) + _list(shaders)


def _interface(kernel: Kernel) -> bytes:
    types = _list(_dtype(name) for name in kernel.arguments)
    no_tags = _list(struct.pack("<i", 0) for _ in kernel.arguments)
    return _text(kernel.name) + types + _list(_text(tag) for tag in kernel.launch) + no_tags


def _shader(kernel: Kernel) -> bytes:
    return struct.pack("<IQ", kernel.flags, len(kernel.code) // 4) + kernel.code


def _dtype(name: str) -> bytes:
    """Return DLPack's code, bits and lanes."""
    kind, bits = re.fullmatch(r"([a-z]+)(\d*)", name).groups()  # type: ignore[union-attr]
    default = {"handle": 64, "bool": 8}.get(kind, 32)
    return struct.pack("<BBH", _CODES[kind], int(bits or default), 1)


def _text(text: str) -> bytes:
    return _bytes(text.encode())


def _bytes(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


def _list(items: Iterable[bytes]) -> bytes:
    found = list(items)
    return struct.pack("<Q", len(found)) + b"".join(found)
