"""What the cost formula's choices cost: every way it compares is built and measured.

The regret of a choice is the time of the chosen way over that of the fastest one, minus 1. The
fastest of several noisy times is a little too fast, so the figures lean to the high side.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

from tvm_sparse import targets
from tvm_sparse.bench import layers
from tvm_sparse.bench.run import runner, verified
from tvm_sparse.bench.timing import Times, interleaved
from tvm_sparse.building import compile_module
from tvm_sparse.choose import Choice, candidates, choose, row_blocks
from tvm_sparse.compiled import Compiled, set_threads
from tvm_sparse.formats.protocol import Weight
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import pipeline
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target

Compared = tuple[str, dict[str, float], dict[str, Times]]
"""The name of the choice, and the ways' predicted and measured times."""


@dataclass(frozen=True, kw_only=True)
class RegretRow:
    """One layer with one pattern of zeros, computed in every way that was compared.

    Parameters
    ----------
    case : str
        The layer's name.
    set, scheme : str
        The set that it is from, and how it is pruned.
    zeros : float
        Share of zero weights that was asked for.
    threads : int
    chosen : str
        The way that the cost formula chose, a key of the others.
    predicted : dict of str to float
        Seconds, by the storage of the weight.
    times : dict of str to Times
        As measured.
    """

    case: str
    set: str
    scheme: str
    zeros: float
    threads: int
    chosen: str
    predicted: dict[str, float]
    times: dict[str, Times]

    @property
    def best(self) -> str:
        """The way with the lowest median."""
        return min(self.times, key=lambda name: self.times[name].median)

    @property
    def regret(self) -> float:
        """By how much longer the chosen way takes than the best one; 0 if it is the best."""
        return self.times[self.chosen].median / self.times[self.best].median - 1


def measure_regret(
    set_name: str,
    zeros: Sequence[float],
    schemes: Sequence[str],
    threads: int,
    rounds: int = 15,
    limit: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Iterator[RegretRow]:
    """Measure every candidate for every layer of a set, interleaved.

    Parameters
    ----------
    set_name : str
        See `tvm_sparse.bench.layers.layer_set`.
    zeros : sequence of float
        Sparsities, 0 to 1.
    schemes : sequence of str
        How to prune, without densities: e.g. ``block-8x1``.
    threads, rounds : int
        The candidates are those for a CPU of that many cores.
    limit : int, optional
        Only that many layers.
    progress : callable, optional
        Called with what is being prepared.

    Raises
    ------
    FormatError
        If a set or a format is unknown.
    TvmSparseError
        If a candidate's results differ from torch's.
    """
    tell = progress or (lambda text: None)
    set_threads(threads)
    target = replace(targets.load("x86"), cores=threads)
    wanted = [Scheme.parse(f"{s}@{round(1 - z, 4)}") for s in schemes for z in zeros]
    cases = [
        (layer, scheme) for layer in list(layers.layer_set(set_name))[:limit] for scheme in wanted
    ]
    yield from rows(
        cases,
        set_name,
        threads,
        lambda layer, scheme: _compare(layer, scheme, target, rounds),
        tell,
    )


def rows(
    cases: Sequence[tuple[Layer, Scheme]],
    set_name: str,
    threads: int,
    compare: Callable[[Layer, Scheme], Compared],
    tell: Callable[[str], None],
) -> Iterator[RegretRow]:
    """Yield what each case of a set costs, told by a function that compares its ways."""
    for number, (layer, scheme) in enumerate(cases, 1):
        tell(f"{number} of {len(cases)} cases: {set_name} {layer.name} {scheme}")
        chosen, predicted, times = compare(layer, scheme)
        yield RegretRow(
            case=layer.name,
            set=set_name,
            scheme=_name(scheme),
            zeros=1 - scheme.density,
            threads=threads,
            chosen=chosen,
            predicted=predicted,
            times=times,
        )


def _compare(layer: Layer, scheme: Scheme, target: Target, rounds: int) -> Compared:
    """Return the name of the choice, and the candidates' predicted and measured times."""
    weight, image = layers.example(layer)
    weight = layers.pruned(weight, scheme)
    ways: dict[Hashable, Choice] = {}
    for way in candidates(layer, weight, target):
        ways.setdefault(_way(way, weight), way)
    chosen = _stored(ways[_way(choose(layer, weight, target), weight)])
    module = layers.torch_layer(layer, weight)
    calls = {}
    for way in ways.values():
        compiled = _compiled(layer, weight, way, target)
        verified(compiled, module, image)
        calls[_stored(way)] = runner(compiled, image)
    predicted = {_stored(way): way.kernel.seconds for way in ways.values()}
    return chosen, predicted, interleaved(calls, rounds)


def _compiled(layer: Layer, weight: Weight, way: Choice, target: Target) -> Compiled:
    passes = pipeline.pipeline(target, decide=lambda layer, weight, target: way)
    return compile_module(layers.relax_layer(layer, weight), target, passes)


def _way(choice: Choice, weight: Weight) -> Hashable:
    """Return what tells ways apart: formats that store the same blocks are one way."""
    if not choice.is_sparse or choice.rest is not None:
        return choice.kernel
    rows = row_blocks(choice.layer, weight, choice.used)
    arrays = (rows.values, rows.taps, rows.ptr, rows.order)
    return choice.kernel, *(array.tobytes() for array in arrays)


def _stored(choice: Choice) -> str:
    return _name(choice.used) + ("" if choice.rest is None else f" + {_name(choice.rest)}")


def _name(scheme: Scheme) -> str:
    return str(scheme).split("@")[0]
