"""The calls that a program makes: which function, with which tensors.

Written as TVM's calling convention wants them (``DLTensor``, ``TVMFFIAny``), at the address that
``program.c`` maps them to. Integers steer loops and are stored; floats do not, and all share one
region of memory, unless what is computed matters.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_BASE, _TENSORS = 0x10000000000, 0x20000000000  # as in program.c
_TENSOR = struct.Struct("<QiiiBBHQQQ")
_ANY = struct.Struct("<iIQ")
_POINTER = 7  # TVMFFIAny's type of a pointer to a DLTensor
_CPU = 1
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
_LINE = 64


@dataclass(frozen=True, kw_only=True)
class Argument:
    """A tensor that a kernel reads or writes.

    Parameters
    ----------
    shape : tuple of int
    dtype : str
    value : array, optional
        What it holds; needed where loops depend on it, which only integers steer.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    value: npt.NDArray[Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Call:
    """A kernel that is called.

    Parameters
    ----------
    function : str
        Its name in the module.
    arguments : tuple of Argument
        Of the call; the last ones are written.
    """

    function: str
    arguments: tuple[Argument, ...]


def image(calls: Sequence[Call], symbols: Mapping[str, int], exact: bool = False) -> bytes:
    """Return the file of calls.

    Parameters
    ----------
    calls : sequence of Call
    symbols : mapping of str to int
        Addresses of the program's functions.
    exact : bool
        Whether to store floats too, so that the program computes what it should; then every
        argument has a value.
    """
    memory = bytearray(24 + 24 * len(calls))
    largest = _LINE
    for number, call in enumerate(calls):
        pointers = [_tensor(memory, argument, exact) for argument in call.arguments]
        anys = b"".join(_ANY.pack(_POINTER, 0, pointer) for pointer in pointers)
        entry = (symbols[f"__tvm_ffi_{call.function}"], _append(memory, anys), len(pointers))
        struct.pack_into("<QQq", memory, 24 + 24 * number, *entry)
        largest = max([largest, *(_nbytes(argument) for argument in call.arguments)])
    struct.pack_into("<qqq", memory, 0, len(memory), largest + 2 * _LINE, len(calls))
    return bytes(memory)


def last_output(memory: bytes, call: Call) -> npt.NDArray[Any]:
    """Return the last argument of the only call of an exact image, after the program has run."""
    _, pointers, number = struct.unpack_from("<QQq", memory, 24)
    _, _, tensor = _ANY.unpack_from(memory, pointers - _BASE + _ANY.size * (number - 1))
    data = _TENSOR.unpack_from(memory, tensor - _BASE)[0] - _BASE
    output = call.arguments[-1]
    found = np.frombuffer(memory, output.dtype, int(np.prod(output.shape)), data)
    return found.reshape(output.shape)


def _tensor(memory: bytearray, argument: Argument, exact: bool) -> int:
    """Append a tensor and return its address."""
    dtype, data = np.dtype(argument.dtype), _TENSORS
    if argument.value is not None and (exact or dtype.kind in "iub"):
        data = _append(memory, np.ascontiguousarray(argument.value).tobytes())
    shape = _append(memory, np.array(argument.shape, np.int64).tobytes())
    kind = (_CODES[dtype.kind], 8 * dtype.itemsize, 1)
    return _append(memory, _TENSOR.pack(data, _CPU, 0, len(argument.shape), *kind, shape, 0, 0))


def _append(memory: bytearray, content: bytes) -> int:
    """Append bytes at the next cache line, and return their address."""
    memory.extend(bytes(-len(memory) % _LINE))
    address = _BASE + len(memory)
    memory.extend(content)
    return address


def _nbytes(argument: Argument) -> int:
    return int(np.prod(argument.shape, dtype=np.int64)) * np.dtype(argument.dtype).itemsize
