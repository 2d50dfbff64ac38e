"""Networks and layers in int8: against ours in float32, and against other engines in int8."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tvm

from tvm_sparse import choose, implement, implement_integer, integer_choice, targets
from tvm_sparse.bench import layers, networks, rivals
from tvm_sparse.bench.timing import Times, interleaved
from tvm_sparse.building import build
from tvm_sparse.compiled import set_threads
from tvm_sparse.implement import Implementation
from tvm_sparse.integer import Bytes, Integers
from tvm_sparse.layer import Layer
from tvm_sparse.quantization import quantize, ranges
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.relay_passes.schedule import ScheduleFunctions
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.tile import Tile
from tvm_sparse.words import BYTES, objection

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
            calls = {"int8": _int8(layer, weight, target), "float32": _float(layer, weight, target)}
            times = interleaved(calls, rounds, _LAYER)
            yield IntegerRow(
                case=layer.name or layer.key,
                scheme=scheme,
                threads=1,
                int8=times["int8"],
                float32=times["float32"],
            )


def _int8(layer: Layer, weight: Any, target: Target) -> Call:
    steps, scale = ranges.weights(weight)
    given = Bytes(scale=0.05, zero=0)
    numbers = Integers(
        weight=steps,
        scale=scale,
        bias=np.zeros(len(steps)),
        data=given,
        output=given,
        low=0.0,
    )
    choice = integer_choice.choose(numbers, layer, target)
    words = replace(layer, weight=(-(-layer.filters // BYTES), -(-layer.channels // BYTES)))
    return _kernel(implement_integer.implement(choice, numbers), layer, words, target, "int32")


def _float(layer: Layer, weight: Any, target: Target) -> Call:
    choice = choose.choose(layer, weight, target)
    shapes = replace(layer, weight=(layer.filters, layer.channels))
    rows = layer.op == "linear" and not isinstance(choice.kernel.tile, Tile)
    return _kernel(implement.chosen(choice, weight), layer, shapes, target, "float32", rows)


def _kernel(
    bound: Implementation,
    layer: Layer,
    shapes: Layer,
    target: Target,
    dtype: str,
    rows: bool = False,
) -> Call:
    """Return a kernel's call on random data; `shapes` has its output's and input's channels."""
    filters, channels = shapes.weight[:2]
    both: list[tuple[int, ...]] = []
    for number, at in ((channels, layer.input), (filters, layer.output)):
        if layer.op == "conv2d":
            both.append((at[0], number, *at[1:]))
        else:
            both.append((layer.positions, number) if rows else (number, layer.positions))
    mod = tvm.IRModule({"main": bound.func.with_attr("global_symbol", "main")})
    mod = tvm.transform.Sequential([ScheduleFunctions(target)])(mod)
    function = tvm.tirx.build(mod, target=target.to_tvm(), pipeline=code_generation.NAME)["main"]
    data = np.random.default_rng(0).integers(0, 100, both[0]).astype(dtype)
    arrays = [data, *bound.constants, np.zeros(both[1], dtype)]
    tensors = [tvm.runtime.tensor(array) for array in arrays]
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
