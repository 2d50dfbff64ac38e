"""Measure layers and networks: ours sparse, ours dense, and every installed rival."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import tvm

from tvm_sparse import formats, targets
from tvm_sparse.bench import layers, machine, networks, rivals
from tvm_sparse.bench.timing import Times, interleaved
from tvm_sparse.building import build
from tvm_sparse.compiled import Compiled, set_threads
from tvm_sparse.errors import TvmSparseError
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target

# Seconds that an engine runs in each round: a network's until caches hold what they will hold.
_LAYER, _NETWORK = 0.01, 0.1


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured case.

    Parameters
    ----------
    case : str
        The layer's or the network's name.
    set : str
    scheme : str
        How it is pruned.
    zeros : float
        Share of zero weights.
    threads : int
    sparse, dense : Times
        Ours with and without using the zeros.
    rivals : dict of str to Times
        Other engines on the same weights.
    gflops : float
        Billions of multiply-adds × 2 on non-zero weights, a second, of ours sparse.
    of_peak : float
        That, as a share of the dense peak measured in the same rounds.
    error : float
        Largest difference to torch, relative to the largest output.
    stored : str
        How the compiler stored the weights; "dense" when it declined to use the zeros.
    occurrences : int
        How often the network of the set has the layer.
    """

    case: str
    set: str
    scheme: str
    zeros: float
    threads: int
    sparse: Times
    dense: Times
    rivals: dict[str, Times]
    gflops: float
    of_peak: float
    error: float
    stored: str
    occurrences: int = 1

    @property
    def fastest(self) -> tuple[str, float]:
        """The fastest rival, and how many times as long it takes as ours."""
        ratios = {name: self.sparse.ratio(times) for name, times in self.rivals.items()}
        name = min(ratios, key=lambda n: ratios[n], default="")
        return name, ratios.get(name, float("nan"))


def measure_layers(
    set_name: str,
    zeros: Sequence[float],
    filters: Sequence[int],
    threads: int,
    rounds: int = 15,
    engines: Sequence[str] | None = None,
    limit: int | None = None,
    schemes: Sequence[str] = (),
) -> Iterator[Row]:
    """Measure every layer of a set at every sparsity and block size, or in other schemes.

    Parameters
    ----------
    set_name : str
        See `tvm_sparse.bench.layers.layer_set`.
    zeros : sequence of float
        Sparsities, 0 to 1.
    filters : sequence of int
        Filters that share their zeros: 1 is unstructured, N is blocks of N filters × 1 weight.
    threads, rounds : int
    engines : sequence of str, optional
        Rivals; by default all installed ones, for layers only those whose time does not depend on
        the zeros: they run once for all sparsities.
    limit : int, optional
        Only that many layers.
    schemes : sequence of str
        With densities, e.g. ``nm-2x4@0.5``, in the place of `zeros` and `filters`; each is
        measured on the layers that it suits.
    """
    chosen = [Scheme.parse(text) for text in schemes] or _blocks(zeros, filters)
    for layer, number in list(layers.layer_set(set_name).items())[:limit]:
        suited = [s for s in chosen if formats.get(s.format).suits(layer.weight, s.block)]
        if suited:
            for row in _layer_rows(layer, set_name, suited, threads, rounds, engines):
                yield replace(row, occurrences=number)


def _machine(threads: int) -> Target:
    """Let models run on so many threads; return this machine with as many cores.

    Kernels that are to be divided among cores are cut in other ways than those for one.
    """
    set_threads(threads)
    return replace(targets.load("x86"), cores=threads)


def _blocks(zeros: Sequence[float], filters: Sequence[int]) -> list[Scheme]:
    """Return single weights, and blocks of N filters × 1 weight, at every sparsity."""
    return [
        Scheme(
            format="block" if n > 1 else "unstructured",
            block=(n, 1) if n > 1 else (),
            density=round(1 - z, 4),
        )
        for z in zeros
        for n in (filters if z else filters[:1])
    ]


def _layer_rows(
    layer: Layer,
    set_name: str,
    schemes: Sequence[Scheme],
    threads: int,
    rounds: int,
    engines: Sequence[str] | None,
) -> Iterator[Row]:
    weight, image = layers.example(layer)
    pruned = {str(scheme): layers.pruned(weight, scheme) for scheme in schemes}
    target = _machine(threads)
    dense = build(layers.relax_layer(layer, weight), target, sparse=False)
    ours = {name: build(layers.relax_layer(layer, w), target) for name, w in pruned.items()}
    errors = {
        name: verified(ours[name], layers.torch_layer(layer, w), image)
        for name, w in pruned.items()
    }
    calls = {"dense": runner(dense, image), **{n: runner(c, image) for n, c in ours.items()}}
    module = layers.torch_layer(layer, weight)
    if engines is None:
        engines = [name for name in rivals.installed() if name not in rivals.SPARSE]
    measured = _measure(calls, module, image, threads, rounds, engines, _LAYER)
    for name, array in pruned.items():
        left = np.count_nonzero(array) / weight.size
        yield measured.row(
            name,
            layer.macs * left,
            case=layer.name,
            set=set_name,
            scheme=name,
            zeros=1 - left,
            error=errors[name],
            stored=ours[name].report.rows[0].stored,
        )


def measure_network(
    name: str,
    schemes: Sequence[str],
    threads: int,
    rounds: int = 15,
    engines: Sequence[str] | None = None,
    size: int = 224,
    progress: Callable[[str], None] | None = None,
) -> Iterator[Row]:
    """Measure a network pruned by each of the schemes.

    Parameters
    ----------
    name : str
        See `tvm_sparse.bench.networks.names`.
    schemes : sequence of str
        E.g. ``block_punched-8x4@0.2``.
    threads, rounds, engines, size
        As for layers.
    progress : callable, optional
        Called with what is being prepared.
    """
    tell = progress or (lambda text: None)
    target = _machine(threads)
    for scheme in schemes:
        tell(f"building {name} {scheme}")
        model, image = networks.pruned(name, scheme, size)
        ours = build(model, target, example_inputs=(image,))
        dense = build(model, target, example_inputs=(image,), sparse=False)
        error = verified(ours, model, image)
        calls = {"sparse": runner(ours, image), "dense": runner(dense, image)}
        tell(f"measuring {name} {scheme}")
        chosen = list(rivals.installed()) if engines is None else engines
        measured = _measure(calls, model, image, threads, rounds, chosen, _NETWORK)
        macs, left = _macs(ours)
        yield measured.row(
            "sparse",
            macs,
            case=name,
            set="networks",
            scheme=scheme,
            zeros=1 - left,
            error=error,
            stored=ours.report.summary,
        )


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """Times that were taken in the same rounds; the peak in multiply-adds × 2 a second."""

    times: dict[str, Times]
    peak: float
    threads: int

    def row(self, sparse: str, macs: float, **about: Any) -> Row:
        """Return a row: `sparse` names ours, `macs` counts its multiply-adds on non-zeros."""
        rate = 2.0 * macs / self.times[sparse].median
        return Row(
            threads=self.threads,
            sparse=self.times[sparse],
            dense=self.times["dense"],
            rivals={name: self.times[name] for name in rivals.NAMES if name in self.times},
            gflops=rate / 1e9,
            of_peak=rate / self.peak,
            **about,
        )


def _measure(
    ours: dict[str, Callable[[], object]],
    model: torch.nn.Module,
    image: torch.Tensor,
    threads: int,
    rounds: int,
    engines: Sequence[str],
    least: float,
) -> _Measured:
    """Time ours, the dense peak, and the rivals on a model, in turns of `least` seconds."""
    peak, flops = machine.peak_kernel(targets.load("x86"), threads)
    theirs = {name: rivals.prepare(name, model, image, threads) for name in engines}
    rest = rivals.NAMES if threads > 1 else ()
    times = interleaved({**ours, "peak": peak, **theirs}, rounds, least, rest)
    return _Measured(times=times, peak=flops / times["peak"].median, threads=threads)


def runner(compiled: Compiled, image: torch.Tensor) -> Callable[[], object]:
    """Return a callable that runs a compiled model on one image, already a TVM tensor."""
    main, x = compiled.main, tvm.runtime.tensor(image.numpy())
    return lambda: main(x)


def verified(compiled: Compiled, model: torch.nn.Module, image: torch.Tensor) -> float:
    """Return the largest difference to torch; a wrong kernel must not be timed.

    Raises
    ------
    TvmSparseError
        If outputs differ by more than 1e-4 of the largest one.
    """
    with torch.inference_mode():
        expected = model(image)
    error = float((compiled(image) - expected).abs().max() / expected.abs().max())
    if not error <= 1e-4:
        raise TvmSparseError(f"the compiled model differs from torch by {error:.1e}: not timing it")
    return error


def _macs(compiled: Compiled) -> tuple[float, float]:
    """Return multiply-adds on non-zero weights, and the share of weights that are not zero."""
    rows = compiled.report.rows
    weights = sum(row.dense_nbytes for row in rows)
    left = sum(row.dense_nbytes * row.density for row in rows)
    return sum(row.macs * row.density for row in rows), left / weights
