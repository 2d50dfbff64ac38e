"""Networks and layers in int8: against ours in float32, and against other engines in int8."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import tvm

from tvm_sparse import targets
from tvm_sparse.bench import layer_kernels, layers, networks, rivals
from tvm_sparse.bench.layer_kernels import LayerKernel
from tvm_sparse.bench.timing import Times, interleaved
from tvm_sparse.building import build
from tvm_sparse.compiled import set_threads
from tvm_sparse.quantization import quantize
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.words import objection

Call = Callable[[], object]
_LAYER, _NETWORK = 0.01, 0.1  # seconds that each runs in a round


@dataclass(frozen=True, kw_only=True)
class IntegerRow:
    """One measured case.

    Parameters
    ----------
    case, scheme : str
        The network or layer, and how it is pruned.
    threads : int
    int8, float32 : Times
        Ours on the same zeros.
    rivals : dict of str to Times
        Other engines in int8, quantized by ONNX Runtime's tool.
    error : float
        Largest difference of int8 to torch, relative to the largest output; nan for a layer.
    """

    case: str
    scheme: str
    threads: int
    int8: Times
    float32: Times
    rivals: dict[str, Times] = field(default_factory=dict)
    error: float = float("nan")


def measure_network(
    name: str, schemes: Sequence[str], threads: int, rounds: int = 15, size: int = 224
) -> Iterator[IntegerRow]:
    """Measure a network, pruned by each scheme and quantized; parameters as in `bench.run`."""
    set_threads(threads)
    target = replace(targets.load("x86"), cores=threads)
    for scheme in schemes:
        model, image = networks.pruned(name, scheme, size)
        ours = build(quantize(model, [image], target=target), target)
        floats = build(model, target, example_inputs=(image,))
        with torch.inference_mode():
            expected = model(image)
        error = float((ours(image) - expected).abs().max() / expected.abs().max())
        x = tvm.runtime.tensor(image.numpy())
        calls: dict[str, Call] = {
            "int8": lambda main=ours.main, x=x: main(x),  # type: ignore[misc]
            "float32": lambda main=floats.main, x=x: main(x),  # type: ignore[misc]
        }
        times = interleaved({**calls, **_engines(model, image, threads)}, rounds, _NETWORK)
        int8, float32 = times.pop("int8"), times.pop("float32")
        yield IntegerRow(
            case=name,
            scheme=scheme,
            threads=threads,
            int8=int8,
            float32=float32,
            rivals=times,
            error=error,
        )


def measure_layers(
    name: str, schemes: Sequence[str], rounds: int = 15, limit: int | None = None
) -> Iterator[IntegerRow]:
    """Measure the kernels of a layer set on one core, bytes to bytes and floats to floats."""
    set_threads(1)
    target = replace(targets.load("x86"), cores=1)
    for layer in list(layers.layer_set(name))[:limit]:
        for scheme in () if objection(layer) else schemes:
            weight = layers.pruned(layers.example(layer)[0], Scheme.parse(scheme))
            calls = {
                "int8": _call(layer_kernels.int8(layer, weight, target), target),
                "float32": _call(layer_kernels.float32(layer, weight, target), target),
            }
            times = interleaved(calls, rounds, _LAYER)
            yield IntegerRow(
                case=layer.name or layer.key,
                scheme=scheme,
                threads=1,
                int8=times["int8"],
                float32=times["float32"],
            )


def _call(kernel: LayerKernel, target: Target) -> Call:
    function = kernel.compiled(target)[layer_kernels.NAME]
    tensors = [tvm.runtime.tensor(array) for array in kernel.arrays]
    return lambda: function(*tensors)


def _engines(model: torch.nn.Module, image: torch.Tensor, threads: int) -> dict[str, Call]:
    """Return the other engines that are installed, on a model quantized by ONNX Runtime."""
    found = rivals.installed()
    if "onnxruntime" not in found:
        return {}
    quantized, x = _quantized(model, image), image.numpy()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(quantized, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x}
    engines: dict[str, Call] = {"onnxruntime": lambda: session.run(None, feed)}
    if "openvino" in found:
        import openvino

        core = openvino.Core()
        settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        loaded = core.read_model(io.BytesIO(quantized))
        request = core.compile_model(loaded, "CPU", settings).create_infer_request()
        engines["openvino"] = lambda: request.infer({0: x})
    return engines


def _quantized(model: torch.nn.Module, image: torch.Tensor) -> bytes:
    """Return a model as ONNX, quantized by ONNX Runtime: a scale for each filter."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as quantize_onnx

    given = onnx.load_from_string(rivals.onnx_bytes(model, image))
    left = iter([{given.graph.input[0].name: image.numpy()}])

    class Sample(CalibrationDataReader):
        def get_next(self) -> Any:
            return next(left, None)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantized.onnx"
        quantize_onnx(
            given,
            path,
            Sample(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return path.read_bytes()
