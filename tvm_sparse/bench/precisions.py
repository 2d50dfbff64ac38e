"""Linear layers with weights of few bits, against ours in float32 on the same zeros."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tvm

from tvm_sparse import targets
from tvm_sparse.bench import layers
from tvm_sparse.bench.timing import Times, interleaved
from tvm_sparse.building import build
from tvm_sparse.compiled import set_threads
from tvm_sparse.errors import FormatError
from tvm_sparse.layer import Layer
from tvm_sparse.precision import by_layer, needs_samples
from tvm_sparse.quantization import quantize
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target

FLOATS = "float32"
_SECONDS = 0.01  # that each runs in a round
_SHAPE = re.compile(r"(\d+)x(\d+)@(\d+)")


@dataclass(frozen=True, kw_only=True)
class PrecisionRow:
    """One measured layer.

    Parameters
    ----------
    case, scheme : str
        Filters × channels @ rows, and how it is pruned.
    times : dict of str to Times
        By precision; ``float32`` is among them.
    nbytes : dict of str to int
        Stored weights, scales and indices.
    errors : dict of str to float
        The root of the mean squared difference to float32, relative to that of the outputs.
    """

    case: str
    scheme: str
    times: dict[str, Times]
    nbytes: dict[str, int]
    errors: dict[str, float]


def layer_of(text: str) -> Layer:
    """Return a linear layer written as filters × channels @ rows, e.g. ``4096x4096@1``.

    Raises
    ------
    FormatError
        If the text is none.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise FormatError(f"cannot read the layer {text!r}: expected e.g. 4096x4096@1")
    filters, channels, rows = map(int, match.groups())
    return Layer(op="linear", weight=(filters, channels), input=(rows,), name=text)


def measure(
    shapes: Sequence[str], schemes: Sequence[str], precisions: Sequence[str], rounds: int = 15
) -> Iterator[PrecisionRow]:
    """Measure layers on one core, pruned by each scheme, in every precision and in float32."""
    set_threads(1)
    target = replace(targets.load("x86"), cores=1)
    for layer in map(layer_of, shapes):
        for scheme in schemes:
            yield _row(layer, scheme, [FLOATS, *precisions], target, rounds)


def _row(
    layer: Layer, scheme: str, precisions: Sequence[str], target: Target, rounds: int
) -> PrecisionRow:
    weight, data = layers.example(layer)
    parsed = Scheme.parse(scheme)
    if parsed.format != "dense":
        weight = layers.pruned(weight, parsed)
    mod, sample = layers.relax_layer(layer, weight), np.asarray(data)
    models = {}
    for name in precisions:
        samples = [sample] if needs_samples(by_layer(name)) else []
        models[name] = build(quantize(mod, samples, name, target=target), target, database=False)
    x = tvm.runtime.tensor(sample)
    expected = models[FLOATS](sample)
    scale = float(np.sqrt(np.mean(expected**2)))
    return PrecisionRow(
        case=layer.name,
        scheme=scheme,
        times=interleaved(
            {name: lambda main=model.main: main(x) for name, model in models.items()},  # type: ignore[misc]
            rounds,
            _SECONDS,
        ),
        nbytes={name: model.report.nbytes for name, model in models.items()},
        errors={
            name: float(np.sqrt(np.mean((model(sample) - expected) ** 2))) / scale
            for name, model in models.items()
        },
    )
