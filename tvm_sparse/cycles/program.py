"""Link kernels to a program that calls them, and count which instructions it executes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse import link
from tvm_sparse.cycles import calls, tools
from tvm_sparse.cycles.calls import Call
from tvm_sparse.cycles.elf import Elf
from tvm_sparse.cycles.instructions import Words, without_arithmetic

_HERE = Path(__file__).parent
_KERNELS, _CALLS = ".kernels", "calls"  # a section, and the file that the program asks for
_BARE = ["-target", "aarch64-freestanding-none", "-ffreestanding", "-fno-builtin", "-w"]
_BARE += ["-O2", "-g0", "-fno-sanitize=all", "-fno-stack-protector"]
# Kernels stand apart from what calls them; addresses are known before the program is loaded. Parts
# with rights of their own begin at pages of their own, as old versions of qemu want it.
_LAYOUT = """
SECTIONS {{
  . = 0x400000;
  {kernels} : {{ *(EXCLUDE_FILE(*program.o) .text EXCLUDE_FILE(*program.o) .text.*) }}
  .text : {{ *program.o(.text .text.*) }}
  . = ALIGN(0x10000);
  .rodata : {{ *(.rodata .rodata.*) }}
  . = ALIGN(0x10000);
  .got : {{ *(.got .got.*) }}
  . = ALIGN(0x10000);
  .data : {{ *(.data .data.*) }}
  .bss : {{ *(.bss .bss.* COMMON) }}
  /DISCARD/ : {{ *(.eh_frame .comment .debug*) }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Kernels, and how often each of their instructions was executed.

    Parameters
    ----------
    words : array of shape (instructions,)
    counts : array of shape (instructions,)
    address : int
        Of the first of them.
    symbols : dict of str to int
        Addresses of the functions.
    """

    words: Words
    counts: npt.NDArray[np.int64]
    address: int
    symbols: dict[str, int]


def count(executable: Any, made: Sequence[Call]) -> Counted:
    """Run kernels once under emulation, and count; what they compute is not of interest.

    Parameters
    ----------
    executable : tvm.runtime.Executable
        Functions compiled for aarch64.
    made : sequence of Call

    Raises
    ------
    DeviceError
        If a program that this takes is missing, or fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = linked(executable, folder)
        words = program.words(_KERNELS)
        program.replace(_KERNELS, without_arithmetic(words))
        (folder / _CALLS).write_bytes(calls.image(made, program.symbols()))
        return executed(program, words, folder)


def compute(program: Elf, made: Call, folder: Path) -> tuple[Counted, npt.NDArray[Any]]:
    """Run a kernel once under emulation; return counts, and its output.

    Parameters
    ----------
    program : Elf
        What `linked` returned.
    made : Call
        All of its arguments have values.
    folder : Path
        For files.

    Raises
    ------
    DeviceError
        As `count` raises it.
    """
    (folder / _CALLS).write_bytes(calls.image([made], program.symbols(), exact=True))
    counted = executed(program, program.words(_KERNELS), folder)
    return counted, calls.last_output((folder / _CALLS).read_bytes(), made)


def executed(program: Elf, words: Words, folder: Path) -> Counted:
    """Run a program in a folder that holds its calls; `words` are what is said to have run."""
    address = program.sections[_KERNELS].address
    counts = np.zeros(len(words) + 1, np.int64)
    for first, number, times in _run(program, folder):
        begin = (first - address) // 4
        if 0 <= begin < len(words):
            counts[begin] += times
            counts[begin + number] -= times
    return Counted(
        words=words, counts=np.cumsum(counts)[:-1], address=address, symbols=program.symbols()
    )


def linked(executable: Any, folder: Path) -> Elf:
    """Link an executable's functions and ``program.c`` in a folder; return the program."""
    (folder / "program.o").write_bytes(_caller())
    (folder / "layout.ld").write_text(_LAYOUT.format(kernels=_KERNELS))
    path = folder / "program"

    def linker(output: str, objects: list[str], options: Any = None, **_: Any) -> None:
        inputs = [str(folder / "program.o"), *objects]
        script = ["-static", "-T", str(folder / "layout.ld"), "-o", output]
        tools.run([*tools.zig(), "ld.lld", *script, *inputs])
        Path(output).chmod(0o755)

    linker.output_format = "so"  # type: ignore[attr-defined]  # TVM asks for it
    with link.quiet_stderr():
        executable.export_library(str(path), fcompile=linker)
    return Elf(path)


def _run(program: Elf, folder: Path) -> Iterator[tuple[int, int, int]]:
    """Run a program; yield the address, instructions and executions of each translated block."""
    with _plugin() as plugin:
        options = ["-cpu", "max", "-plugin", f"{plugin},out={folder / 'counts'}"]
        tools.run([tools.qemu(), *options, str(program.path)], folder=str(folder))
    for line in (folder / "counts").read_text().splitlines():
        address, number, times = line.split()
        yield int(address), int(number), int(times)


@cache
def _caller() -> bytes:
    """Return ``program.c`` as an object file."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "program.o"
        source = [str(_HERE / "program.c"), "-c", "-o", str(output)]
        tools.run([*tools.zig(), "cc", *_BARE, *source])
        return output.read_bytes()


@contextmanager
def _plugin() -> Iterator[Path]:
    """Yield the path of the plugin that counts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "counter.so"
        path.write_bytes(_counter())
        yield path


@cache
def _counter() -> bytes:
    """Return ``counter.c`` as a shared library."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "counter.so"
        version = f"-DVERSION={tools.plugin_version()}"
        options = ["-x", "c", "-O2", "-shared", "-fPIC", version, "-o", str(output)]
        tools.run([tools.compiler(), *options, str(_HERE / "counter.c")])
        return output.read_bytes()
