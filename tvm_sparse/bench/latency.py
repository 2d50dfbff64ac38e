"""How good a latency table's predictions are of whole networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tvm_sparse.bench import networks
from tvm_sparse.bench.timing import Times
from tvm_sparse.frontend import import_model
from tvm_sparse.latency import LatencyTable
from tvm_sparse.profiling.in_place import InPlace
from tvm_sparse.profiling.lowered import Lowered, lower
from tvm_sparse.profiling.network import NetworkLatency, prediction
from tvm_sparse.profiling.profile import simplified
from tvm_sparse.targets import Target
from tvm_sparse.tuning import scratch
from tvm_sparse.tuning.places.here import Here


@dataclass(frozen=True, kw_only=True)
class LatencyRow:
    """A pruned network, as predicted and as measured.

    Parameters
    ----------
    case, scheme : str
        Which network, and how it is pruned.
    threads : int
    predicted : NetworkLatency
    measured : Times
        Of rounds in which nothing else disturbed it.
    """

    case: str
    scheme: str
    threads: int
    predicted: NetworkLatency
    measured: Times

    @property
    def error(self) -> float:
        """By which share the prediction is too long; negative if it is too short."""
        return self.predicted.seconds / self.measured.median - 1


def measure_latencies(
    table: LatencyTable,
    target: Target,
    names: Sequence[str],
    schemes: Sequence[str],
    rounds: int = 15,
    size: int = 224,
    progress: Callable[[str], None] | None = None,
) -> Iterator[LatencyRow]:
    """Predict pruned networks from a table, then build and measure them, as the cells were.

    Parameters
    ----------
    table : LatencyTable
        With a predictor.
    target : Target
        What the table was measured on; as many threads run as it has cores.
    names : sequence of str
        See `tvm_sparse.bench.networks.names`.
    schemes : sequence of str
        E.g. ``one_by_n-8@0.15``; each with each network.
    rounds, size : int
        As for `tvm_sparse.bench.run.measure_network`.
    progress : callable, optional
        Called with what is being prepared.

    Raises
    ------
    FormatError
        If a network or a scheme is unknown.
    DatabaseError
        If the table cannot predict, or a network cannot be run.
    """
    tell = progress or (lambda text: None)
    for name in names:
        for scheme in schemes:
            tell(f"predicting {name} {scheme}")
            model, image = networks.pruned(name, scheme, size)
            mod = simplified(import_model(model, (image,), None), target)
            lowered = lower(mod, target, sparse=True)
            predicted = prediction(lowered, table)
            tell(f"measuring {name} {scheme}")
            yield LatencyRow(
                case=name,
                scheme=scheme,
                threads=target.cores,
                predicted=predicted,
                measured=_measured(lowered, target, rounds),
            )


def _measured(lowered: Lowered, target: Target, rounds: int) -> Times:
    """Return the times of whole runs."""
    with scratch.folder() as folder:
        running = InPlace(Here(target), folder).build(lowered)
        for _ in range(rounds):
            running.run()
    return Times(rounds=tuple(float(whole) for whole in np.sum(running.sound, axis=1)))
