"""The engines that we are measured against, each as it runs best on a CPU in fp32."""

from __future__ import annotations

import copy
import functools
import io
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from tvm_sparse.bench import mnn

Run = Callable[[], Any]
_PACKAGES = ("torch", "onnxruntime", "openvino")
SPARSE = ("mnn sparse",)  # those whose time depends on the zeros in the weights
NAMES = (*_PACKAGES, "mnn", *SPARSE)


def installed() -> dict[str, str]:
    """Return name and version of the engines that are installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    number = mnn.installed()
    return found if number is None else {**found, "mnn": number, "mnn sparse": number}


def missing() -> list[str]:
    """Return the engines that are not installed; they are named in every table."""
    return [name for name in NAMES if name not in installed()]


def prepare(name: str, model: torch.nn.Module, image: torch.Tensor, threads: int) -> Run:
    """Return a callable that runs the model once on the image.

    Parameters
    ----------
    name : str
        One of `installed`.
    model, image
        The model, its zeros stored like any other weight, and its input.
    threads : int
    """
    return _PREPARE[name](model, image, threads)


def onnx_bytes(model: torch.nn.Module, image: torch.Tensor) -> bytes:
    """Return the model as an ONNX file, batch norm folded by the exporter."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (image,), buffer, dynamo=False, opset_version=17)  # type: ignore[arg-type]
    return buffer.getvalue()


def _torch(model: torch.nn.Module, image: torch.Tensor, threads: int) -> Run:
    """Run torch eagerly: oneDNN convolutions, contiguous or channels-last, whichever is faster."""
    torch.set_num_threads(threads)
    options: list[Run] = []
    formats = [torch.contiguous_format]
    formats += [torch.channels_last] if image.ndim == 4 else []
    for layout in formats:
        module: Any = copy.deepcopy(model).to(memory_format=layout)  # type: ignore[call-overload]
        x = image.to(memory_format=layout)
        with torch.inference_mode():
            traced = torch.jit.freeze(torch.jit.trace(module, x))  # type: ignore[no-untyped-call]

        def run(traced: Any = traced, x: torch.Tensor = x) -> Any:
            torch.set_num_threads(threads)
            with torch.inference_mode():
                return traced(x)

        options.append(run)

    def cost(run: Run) -> float:
        for _ in range(3):
            run()
        start = time.perf_counter()
        for _ in range(3):
            run()
        return time.perf_counter() - start

    return min(options, key=cost)


def _onnxruntime(model: torch.nn.Module, image: torch.Tensor, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        onnx_bytes(model, image), options, providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: image.numpy()}
    return lambda: session.run(None, feed)


def _openvino(model: torch.nn.Module, image: torch.Tensor, threads: int) -> Run:
    """Run OpenVINO in true fp32; by itself it would choose bfloat16 where the CPU has AMX."""
    import openvino

    core = openvino.Core()
    loaded = core.read_model(io.BytesIO(onnx_bytes(model, image)))
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(loaded, "CPU", settings).create_infer_request()
    array = image.numpy()
    return lambda: request.infer({0: array})


def _mnn(model: torch.nn.Module, image: torch.Tensor, threads: int, sparse: bool = False) -> Run:
    with torch.inference_mode():
        expected = model(image)
    return mnn.Worker(onnx_bytes(model, image), image, expected, threads, sparse)


_PREPARE: dict[str, Callable[[torch.nn.Module, torch.Tensor, int], Run]] = {
    "torch": _torch,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "mnn": _mnn,
    "mnn sparse": functools.partial(_mnn, sparse=True),
}
