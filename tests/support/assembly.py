"""Kernels written by hand: assembly of aarch64 in the place of what TVM compiles."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tvm_sparse.cycles import tools


class Assembled:
    """What TVM's executables offer to whoever links them."""

    def __init__(self, name: str, body: str) -> None:
        function = f"__tvm_ffi_{name}"
        self._text = f".text\n.globl {function}\n{function}:\n{body}\nmov w0, #0\nret\n"

    def export_library(self, path: str, fcompile: Callable[..., Any]) -> None:
        """Assemble, and let the linker given do the rest."""
        with tempfile.TemporaryDirectory() as folder:
            source, made = Path(folder) / "kernel.s", Path(folder) / "kernel.o"
            source.write_text(self._text)
            command = [*tools.zig(), "cc", "-target", "aarch64-freestanding-none", "-c"]
            subprocess.run([*command, str(source), "-o", str(made)], check=True)
            fcompile(path, [str(made)])
