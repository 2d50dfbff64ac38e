"""Scalar types, and how constants of them are written."""

from __future__ import annotations

import re
import struct
from typing import Any, NamedTuple

_DTYPE = re.compile(r"(bool|int|uint|float)(\d*)(?:x(\d+))?")
_FLOATS = {16: "<e", 32: "<f", 64: "<d"}


class Type(NamedTuple):
    """A scalar: ``kind`` is bool, int, uint or float."""

    kind: str
    bits: int

    def __str__(self) -> str:
        """Return e.g. ``float16``."""
        return "bool" if self.kind == "bool" else f"{self.kind}{self.bits}"


BOOL = Type("bool", 1)
INT32 = Type("int", 32)
UINT32 = Type("uint", 32)
UINT8 = Type("uint", 8)
FLOAT32 = Type("float", 32)


def parse(dtype: Any) -> tuple[Type, int]:
    """Return the scalar type and the number of lanes of a TVM dtype, e.g. ``int8x4``.

    Raises
    ------
    NotImplementedError
        If SPIR-V has no such type.
    """
    match = _DTYPE.fullmatch(str(dtype))
    if match is None:
        raise NotImplementedError(f"SPIR-V has no type {dtype}")
    kind, bits, lanes = match.groups()
    return BOOL if kind == "bool" else Type(kind, int(bits)), int(lanes or 1)


def words_of(kind: Type, value: float) -> list[int]:
    """Return the 32-bit words of a number, as `OpConstant` takes them."""
    if kind.kind == "float":
        content = _float_bytes(kind.bits, float(value))
    else:
        wide = max(kind.bits, 32)  # narrow signed numbers are sign-extended
        mask = (1 << (wide if kind.kind == "int" else kind.bits)) - 1
        content = (int(value) & mask).to_bytes(wide // 8, "little")
    content += bytes(-len(content) % 4)
    return list(struct.unpack(f"<{len(content) // 4}I", content))


def _float_bytes(bits: int, value: float) -> bytes:
    try:
        return struct.pack(_FLOATS[bits], value)
    except OverflowError:
        return struct.pack(_FLOATS[bits], float("inf") if value > 0 else float("-inf"))
