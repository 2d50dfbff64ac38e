"""Read, and patch, the kernels of a linked 64-bit program."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tvm_sparse.cycles.instructions import Words

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of a program.

    Parameters
    ----------
    address, offset, size : int
        Where it lies in memory and in the file, and its bytes.
    link, strings : int
        The section that it refers to, and where its name begins.
    """

    address: int
    offset: int
    size: int
    link: int
    strings: int


class Elf:
    """A program's file.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = bytearray(path.read_bytes())
        (table,) = struct.unpack_from("<Q", self._data, 0x28)
        number, names = struct.unpack_from("<HH", self._data, 0x3C)
        entries = [_section(self._data, table + i * _SECTION.size) for i in range(number)]
        self._numbered = entries
        self.sections = {
            _text(self._data, entries[names].offset + entry.strings): entry for entry in entries
        }

    def words(self, name: str) -> Words:
        """Return a section's instructions."""
        section = self.sections[name]
        held = self._data[section.offset : section.offset + section.size // 4 * 4]
        return np.frombuffer(bytes(held), np.uint32)

    def replace(self, name: str, words: Words) -> None:
        """Write a section's instructions into the file."""
        section = self.sections[name]
        self._data[section.offset : section.offset + 4 * len(words)] = words.tobytes()
        self.path.write_bytes(self._data)

    def symbols(self) -> dict[str, int]:
        """Return the addresses of all symbols that have a name."""
        table = self.sections[".symtab"]
        names = self._numbered[table.link].offset
        found = {}
        for at in range(table.offset, table.offset + table.size, _SYMBOL.size):
            name, _, _, _, address, _ = _SYMBOL.unpack_from(self._data, at)
            if name:
                found[_text(self._data, names + name)] = address
        return found


def _section(data: bytearray, at: int) -> Section:
    name, _, _, address, offset, size, link, *_ = _SECTION.unpack_from(data, at)
    return Section(address=address, offset=offset, size=size, link=link, strings=name)


def _text(data: bytearray, at: int) -> str:
    return data[at : data.index(0, at)].decode()
