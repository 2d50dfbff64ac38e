"""Run a model with MNN on request; executed by the interpreter of MNN's own environment.

Usage: python mnn_worker.py MODEL.onnx X.npy Y.npy THREADS MODE, with MODE ``dense`` or ``sparse``.

Once its outputs equal Y it says ``{"error": e}`` on stdout; from then on, a line with a number n on
stdin is answered by ``{"seconds": s}``, the time of n runs. It ends with its stdin. MNN's console
scripts install packages and send usage logs: only its Python modules are used here.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_BLOCKS = (
    1,
    4,
)  # output channels that its sparse kernels may take together; the faster one is used
_TOLERANCE = 1e-4
_TRIALS = 5


def convert(onnx: Path, block: int) -> Path:
    """Convert a model; a block of 0 ignores zeros, 1 and more look for zeros in such blocks."""
    import _tools

    out = onnx.with_name(f"{onnx.stem}-{block}.mnn")
    args = ["MNNConvert", "-f", "ONNX", "--modelFile", str(onnx), "--MNNModel", str(out)]
    args += ["--bizCode", "bench", "--useGeluApproximation", "0"]  # or transformers are inexact
    if block:
        args += ["--detectSparseSpeedUp", "1"]  # to name it at all turns it on
    if block > 1:
        prune = {"type": "SIMD_OC", "simdOcPrunerParams": {"ocBlocks": [block]}}
        pipeline = {"version": "0.0.0", "algo": [{"type": "PRUNE", "pruneParams": prune}]}
        options = onnx.with_name(f"{onnx.stem}-{block}.json")
        options.write_text(json.dumps(pipeline))
        args += ["--compressionParamsFile", str(options)]
    _tools.mnnconvert(args)
    if not out.is_file():
        sys.exit(f"MNN could not convert {onnx}")
    return out


def load(model: Path, x: Any, threads: int) -> Callable[[], Any]:
    """Return a callable that runs a converted model in fp32 and returns its first output."""
    import MNN.expr as F
    import MNN.nn

    settings = {"backend": "CPU", "numThread": threads, "precision": "high"}
    manager = MNN.nn.create_runtime_manager((settings,))
    net = MNN.nn.load_module_from_file(str(model), [], [], runtime_manager=manager)
    given = F.placeholder(list(x.shape), F.NCHW, F.float)
    given.write(x)

    def run() -> Any:
        output = net.forward(given)
        output = output[0] if isinstance(output, list | tuple) else output
        return F.convert(output, F.NCHW).read()

    return run


def checked(run: Callable[[], Any], expected: Any) -> float:
    """Return the largest difference relative to the largest output; end if it is not small."""
    found = np.asarray(run()).reshape(expected.shape)
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not error <= _TOLERANCE:
        sys.exit(f"MNN differs from torch by {error:.1e}: not timing it")
    return error


def seconds(run: Callable[[], Any], repeats: int) -> float:
    """Return the time of some runs."""
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return time.perf_counter() - start


def main(onnx: str, inputs: str, outputs: str, threads: str, mode: str) -> None:
    """Prepare the model, then run it as often as asked for."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # MNN prints to stdout
    x, expected = np.load(inputs), np.load(outputs)
    blocks = _BLOCKS if mode == "sparse" else (0,)
    runs = [load(convert(Path(onnx), block), x, int(threads)) for block in blocks]
    errors = {run: checked(run, expected) for run in runs}
    best = min(runs, key=lambda run: min(seconds(run, 1) for _ in range(_TRIALS)))
    print(json.dumps({"error": errors[best]}), file=answers)
    for line in sys.stdin:
        print(json.dumps({"seconds": seconds(best, int(line))}), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
