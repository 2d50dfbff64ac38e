"""A process in which tile instructions of AMX work, on any CPU with AVX-512.

They fault, and `amx_emulator.c` carries them out. Kernels are compiled here, linked, and run there
by TVM's runtime alone. A CPU with AMX runs them itself, and counts nothing.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import integers, kernels
from tvm_sparse import amx, amx_kernel, implement_pairs, link, pairs, targets, words
from tvm_sparse.algorithms import amx_pairs
from tvm_sparse.amx import AmxPanelTile
from tvm_sparse.implement_integer import implement
from tvm_sparse.integer import Integers
from tvm_sparse.integer_choice import IntegerChoice
from tvm_sparse.kernel import Kernel
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target, native

AVX512 = {"avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512_vnni", "avx512_bf16"}
Array = Any


class Emulated:
    """The process.

    Parameters
    ----------
    folder : Path
        For the emulator and for kernels.
    """

    def __init__(self, folder: Path) -> None:
        missing = AVX512 - native.cpu_flags()
        if missing:
            pytest.skip(f"the rest of such a kernel needs {', '.join(sorted(missing))}")
        self.counts = "amx_tile" not in native.cpu_flags()
        self._folder, self._number = folder, 0
        library = folder / "amx.so"
        source = Path(__file__).with_name("amx_emulator.c")
        flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run(["cc", *flags, "-o", library, source, "-ldl"], check=True)
        environment = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "TVM_NUM_THREADS": "2",
            "TVM_USE_RUNTIME_LIB": "1",
        }
        command = [sys.executable, str(Path(__file__).with_name("amx_main.py"))]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe)

    def call(self, kind: str, path: str, arrays: list[Array]) -> Any:
        """What the process answers; a text is an error."""
        assert self._process.stdin is not None and self._process.stdout is not None
        pickle.dump((kind, path, arrays), self._process.stdin)
        self._process.stdin.flush()
        return pickle.load(self._process.stdout)

    def run(self, func: Any, target: Target, arrays: list[Array]) -> Any:
        """The last array, after a kernel was called."""
        self._number += 1
        path = self._folder / f"kernel{self._number}.so"
        link.library(kernels.compiled_module(func, target), path)
        return self.call("kernel", str(path), arrays)

    def count(self, instruction: str) -> int:
        """How often an instruction was carried out."""
        return int(self.call("count", instruction, []))

    def refuse(self, whether: bool) -> None:
        """Let Linux give no tiles any more, or again."""
        self.call("refuse", "x" * whether, [])

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def target() -> Target:
    return targets.load("x86-amx")


def in_tiles(
    layer: Layer, given: Integers, dense: bool = False, filters: int = 16
) -> IntegerChoice:
    """The best kernel with tiles of so many filters, whether it pays or not."""
    packed = words.packed(layer, given.weight)
    keep = np.ones(packed.shape, bool) if dense else packed != 0
    word = 1 if given.output is None else words.BYTES
    ways = amx_kernel.ways(layer, packed, keep, word, target())
    rows, best = next(way for way in ways if way[0].filters == filters)
    plain = Scheme(format="dense", bits=8)
    return IntegerChoice(
        layer=layer, found=plain, used=plain, rows=rows, kernel=best, dense=best, reason="",
        dot=target().dot, fma=target().has_fma,
    )  # fmt: skip


def outputs(
    process: Emulated, choice: IntegerChoice, given: Integers, x: Array, residual: Array = None
) -> Array:
    """What a kernel returns in the process."""
    bound = implement(choice, given)
    arrays = integers.arguments(choice.layer, given, bound, x, choice.dot, residual)
    found = process.run(bound.func, target(), arrays)
    assert not isinstance(found, str), found
    return integers.from_words(choice.layer, found, given, choice.dot)


def pairs_outputs(
    process: Emulated, layer: Layer, weight: Array, x: Array, rows: int, filters: int
) -> tuple[Array, int]:
    """What a kernel over pairs of bfloat16 returns in the process, and how many products it has."""
    stored = pairs.joined(weight)
    over = replace(layer, weight=stored.shape)
    blocks = amx.row_blocks(over, stored, stored != 0, filters)
    tile = AmxPanelTile(filters=filters, rows=rows, lanes=amx.SIDE)
    best = Kernel(tile=tile, plane=None, seconds=0.0)
    bound = implement_pairs.implement(
        pairs.PairChoice(layer=over, words=stored, kernel=best, rows=blocks)
    )
    number, words = amx_pairs.whole(over, tile)
    flat = np.pad(x.reshape(layer.positions, -1), ((0, number - layer.positions), (0, 0)))
    given = np.zeros((number, words), np.int32)
    given[:, : stored.shape[1]] = pairs.joined(flat)
    out = np.full((*layer.output, layer.filters), np.nan, np.float32)
    found = process.run(bound.func, target(), [given, *bound.constants, out])
    return found, len(blocks.taps) * filters // amx.SIDE * number // amx.SIDE
