"""What the cost formula's choices of integer kernels cost: every size of blocks is measured.

That is with words that have no weights, and without them; from bytes to bytes, ReLU included. Every
way must compute the same bytes. Tiles of AMX take no part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import tvm

from tvm_sparse import integer_choice, targets
from tvm_sparse.bench import layer_kernels, layers
from tvm_sparse.bench.layer_kernels import LayerKernel
from tvm_sparse.bench.regret import Compared, RegretRow, rows
from tvm_sparse.bench.timing import interleaved
from tvm_sparse.compiled import set_threads
from tvm_sparse.errors import TvmSparseError
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.words import objection


def measure_integer_regret(
    set_name: str,
    zeros: Sequence[float],
    schemes: Sequence[str],
    threads: int,
    rounds: int = 15,
    limit: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Iterator[RegretRow]:
    """Measure every candidate for every layer of a set, interleaved.

    Layers whose channels are no words are left out. Parameters and errors are those of
    `tvm_sparse.bench.regret.measure_regret`.
    """
    tell = progress or (lambda text: None)
    set_threads(threads)
    target = replace(targets.load("x86"), cores=threads, tile_cycles=0.0)
    found = [layer for layer in layers.layer_set(set_name) if not objection(layer)][:limit]
    wanted = [Scheme.parse(f"{s}@{round(1 - z, 4)}") for s in schemes for z in zeros]
    cases = [(layer, scheme) for layer in found for scheme in wanted]
    yield from rows(
        cases,
        set_name,
        threads,
        lambda layer, scheme: _compare(layer, scheme, target, rounds),
        tell,
    )


def _compare(layer: Layer, scheme: Scheme, target: Target, rounds: int) -> Compared:
    """Return the name of the choice, and the candidates' predicted and measured times."""
    weight = layers.pruned(layers.example(layer)[0], scheme)
    numbers = layer_kernels.integers(weight)
    choice = integer_choice.choose(numbers, layer, target)
    ways = {
        _name(*stored): integer_choice.stored_as(choice, numbers, *stored, target)
        for stored in choice.works
    }
    kernels = {name: layer_kernels.int8_as(way, numbers, weight) for name, way in ways.items()}
    calls = _calls(kernels, target)
    chosen = _name(choice.is_sparse, choice.rows.filters)
    predicted = {name: way.kernel.seconds for name, way in ways.items()}
    return chosen, predicted, interleaved(calls, rounds)


def _calls(kernels: dict[str, LayerKernel], target: Target) -> dict[str, Callable[[], object]]:
    """Compile kernels and return their calls, once all of them computed the same bytes."""
    calls: dict[str, Callable[[], object]] = {}
    first: layer_kernels.Array | None = None
    for name, kernel in kernels.items():
        function = kernel.compiled(target)[layer_kernels.NAME]
        tensors = [tvm.runtime.tensor(array) for array in kernel.arrays]
        function(*tensors)
        output = tensors[-1].numpy()
        first = output if first is None else first
        if not np.array_equal(output, first):
            raise TvmSparseError(f"{name} computes other bytes than {next(iter(kernels))}")
        calls[name] = lambda function=function, tensors=tensors: function(*tensors)  # type: ignore[misc]
    return calls


def _name(skips: bool, filters: int) -> str:
    return f"block_punched-{filters}x4" if skips else f"dense, {filters} filters"
