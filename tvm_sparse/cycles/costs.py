"""What a block of instructions costs on a core, by llvm-mca."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from itertools import accumulate

from tvm_sparse.cycles import tools
from tvm_sparse.cycles.cores import CORES
from tvm_sparse.errors import DeviceError

_ROUNDS = 100  # a block follows itself so often that filling the pipeline does not count
_EXTENSIONS = "-mattr=+dotprod,+fullfp16,+i8mm"
_INDEPENDENT = 24  # multiply-adds that no core's latency can hold up

Words = tuple[int, ...]


def cycles(blocks: Sequence[Words], core: str) -> list[float]:
    """Return the cycles of each block when it follows itself.

    Parameters
    ----------
    blocks : sequence of tuple of int
        Their instructions, 32-bit words.
    core : str
        One of `tvm_sparse.cycles.cores.CORES`.

    Raises
    ------
    DeviceError
        If LLVM's tools are missing, or do not know an instruction.
    """
    return of_assembly(_disassembled(blocks), core)


@cache
def peak(core: str) -> float:
    """Return the vector multiply-adds that a core starts each cycle, if nothing else happens."""
    adds = [f"fmla v{i}.4s, v30.4s, v31.s[0]" for i in range(_INDEPENDENT)]
    (total,) = of_assembly(["\n".join(adds)], core)
    return _INDEPENDENT / total


def of_assembly(texts: Sequence[str], core: str) -> list[float]:
    """Return the cycles of blocks that are written as assembly; otherwise as `cycles`."""
    regions = [
        f"# LLVM-MCA-BEGIN block{i}\n{text}\n# LLVM-MCA-END block{i}\n"
        for i, text in enumerate(texts)
    ]
    options = ["-mtriple=aarch64", f"-mcpu={CORES[core]}", _EXTENSIONS, f"-iterations={_ROUNDS}"]
    views = ["-json", "-resource-pressure=false", "-instruction-info=false"]
    said = tools.run([tools.llvm("llvm-mca"), *options, *views], "".join(regions))
    found = json.loads(said)["CodeRegions"]
    totals = {region["Name"]: region["SummaryView"]["TotalCycles"] for region in found}
    return [totals[f"block{i}"] / _ROUNDS for i in range(len(texts))]


def _disassembled(blocks: Sequence[Words]) -> list[str]:
    """Return the text of each block."""
    words = (word.to_bytes(4, "little") for block in blocks for word in block)
    lines = (" ".join(f"0x{byte:02x}" for byte in word) for word in words)
    command = [tools.llvm("llvm-mc"), "-disassemble", "-triple=aarch64", "-mattr=+all"]
    said = tools.run(command, "\n".join(lines))
    text = [line.strip() for line in said.splitlines() if re.match(r"\s+[a-z]", line)]
    number = sum(len(block) for block in blocks)
    if len(text) != number:
        raise DeviceError(f"expected {number} instructions, llvm-mc knows {len(text)} of them")
    ends = accumulate(len(block) for block in blocks)
    return [
        "\n".join(text[end - len(block) : end]) for block, end in zip(blocks, ends, strict=True)
    ]
