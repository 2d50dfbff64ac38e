"""MNN as a rival: in an environment of its own, asked through pipes to run.

``scripts/bench_mnn.sh`` makes the environment. It lies where the variable TVM_SPARSE_MNN says, or
in ``.cache/mnn`` of the current folder. Its packages never mix with ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import weakref
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import torch

from tvm_sparse.errors import TvmSparseError

VARIABLE = "TVM_SPARSE_MNN"
_WORKER = Path(__file__).with_name("mnn_worker.py")


def environment() -> Path:
    """Return the folder of MNN's environment, whether it exists or not."""
    return Path(os.environ.get(VARIABLE) or ".cache/mnn").absolute()


def installed() -> str | None:
    """Return the version of MNN in its environment, or None if it is not there."""
    folders = [str(path) for path in environment().glob("lib/python*/site-packages")]
    found = next(iter(distributions(name="MNN", path=folders)), None)
    return found.version if found and (environment() / "bin/python").exists() else None


class Worker:
    """A process that holds one model in MNN; calling it runs the model once.

    Parameters
    ----------
    onnx : bytes
        The model.
    x, expected : torch.Tensor
        Its input, and its output as torch computes it.
    threads : int
    sparse : bool
        Whether MNN may use the zeros in the weights.

    Raises
    ------
    TvmSparseError
        If MNN cannot run the model, or its output differs from the expected one.
    """

    def __init__(
        self, onnx: bytes, x: torch.Tensor, expected: torch.Tensor, threads: int, sparse: bool
    ) -> None:
        folder = tempfile.TemporaryDirectory(prefix="tvm_sparse-mnn-")
        self._log = Path(folder.name, "log.txt")
        files = [Path(folder.name, name) for name in ("model.onnx", "x.npy", "y.npy")]
        files[0].write_bytes(onnx)
        np.save(files[1], x.numpy())
        np.save(files[2], expected.numpy())
        command = [environment() / "bin/python", "-P", _WORKER, *files]
        with open(self._log, "w") as log:
            self._process = subprocess.Popen(
                [*map(str, command), str(threads), "sparse" if sparse else "dense"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._stop = weakref.finalize(self, _stop, self._process, folder)
        self.error = self._answer("error")

    def __call__(self) -> float:
        """Run the model once, and return how long that took by the worker's own clock."""
        return self.seconds(1)

    def seconds(self, repeats: int) -> float:
        """Return the time of some runs, by the worker's own clock: pipes take none of it."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            print(repeats, file=self._process.stdin, flush=True)
        return self._answer("seconds")

    def close(self) -> None:
        """End the process and remove its files."""
        self._stop()

    def _answer(self, key: str) -> float:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return float(json.loads(line)[key])
        self._process.wait()
        last = [text for text in self._log.read_text().splitlines() if text.strip()][-1:]
        self.close()
        raise TvmSparseError(
            f"MNN in {environment()} ended with status {self._process.returncode}"
            f"{': ' if last else ''}{''.join(last)}"
        )


def _stop(process: subprocess.Popen[str], folder: tempfile.TemporaryDirectory[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
    process.wait()
    folder.cleanup()
