"""How long layers take under schemes: what was measured, and what a predictor says elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import hypot, sqrt
from typing import Any, NamedTuple

import numpy as np

from tvm_sparse.errors import DatabaseError
from tvm_sparse.layer import Layer
from tvm_sparse.scheme import Scheme

DENSE = Scheme(format="dense")
_ALIKE = 0.02  # densities that differ by less, relatively, are one
_LEAST_SPREAD = 0.01  # that is believed


class Epilogue(NamedTuple):
    """What is computed on a layer's outputs before they are stored.

    Parameters
    ----------
    reads : int
        Other tensors of the output's size that are read, e.g. the residual.
    operators : int
    """

    reads: int = 0
    operators: int = 2  # bias and activation


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long something takes.

    Parameters
    ----------
    seconds : float
        If it was measured, of the rounds that nothing else disturbed.
    spread : float
        Half of the range of the faster half of all rounds, as a share of it; of a prediction, how
        far predictions of the same confidence were off, half of the time.
    runs : int
        Measured rounds; 0 for a prediction.
    """

    seconds: float
    spread: float
    runs: int = 0

    @property
    def measured(self) -> bool:
        """Whether it was measured, and not predicted."""
        return self.runs > 0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One measurement: a layer under a scheme inside a network, or another operator of it.

    Parameters
    ----------
    key : str
        `Layer.key`, or the name and the shapes of an operator that is no layer.
    scheme : Scheme
        As `canonical` writes it.
    epilogue : Epilogue
    seconds, spread : float
        See `Latency`.
    runs : int
        Measured rounds.
    kernel : str
        What ran.
    terms : mapping of str to float
        What the predictor sees; empty for operators that are no layers.
    """

    key: str
    scheme: Scheme
    epilogue: Epilogue
    seconds: float
    spread: float
    runs: int
    kernel: str = ""
    terms: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def latency(self) -> Latency:
        """The measurement without what was measured."""
        return Latency(seconds=self.seconds, spread=self.spread, runs=self.runs)


Predict = Callable[[Layer, Scheme, Epilogue], Latency]


class LatencyTable:
    """What was measured on one target, and a predictor for the rest.

    Parameters
    ----------
    cells : iterable of Cell
        Repeated measurements of one thing are taken together.
    provenance : mapping, optional
        Machine, versions, date.
    predict : callable, optional
        Takes a layer, a canonical scheme and an epilogue.

    Examples
    --------
    >>> table = ts.profile(model, example_inputs=(x,), database="logs/here")   # doctest: +SKIP
    >>> found = table.latency(layer, Scheme.parse("one_by_n-4@0.15"))          # doctest: +SKIP
    >>> found.seconds, found.spread, found.measured                            # doctest: +SKIP
    (0.000231, 0.04, False)
    """

    def __init__(
        self,
        cells: Iterable[Cell],
        provenance: Mapping[str, Any] | None = None,
        predict: Predict | None = None,
    ) -> None:
        self.provenance = dict(provenance or {})
        self.predict = predict
        self._cells: dict[tuple[str, Epilogue], dict[Scheme, Cell]] = {}
        for cell in cells:
            self.add(cell)

    @property
    def cells(self) -> list[Cell]:
        """All cells, each once."""
        return [cell for schemes in self._cells.values() for cell in schemes.values()]

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.cells)

    def add(self, cell: Cell) -> None:
        """Add a measurement; another one of the same cell is averaged with it."""
        known = self._cells.setdefault((cell.key, cell.epilogue), {})
        other = known.get(cell.scheme)
        known[cell.scheme] = cell if other is None else _together(other, cell)

    def epilogues(self, key: str) -> list[Epilogue]:
        """Return the epilogues with which a layer was measured, the most frequent first."""
        found = [(len(cells), name[1]) for name, cells in self._cells.items() if name[0] == key]
        return [epilogue for _, epilogue in sorted(found, key=lambda one: (-one[0], one[1]))]

    def measured(
        self, key: str, scheme: Scheme = DENSE, epilogue: Epilogue | None = None
    ) -> Latency | None:
        """Return what was measured of a layer or operator; None if nothing was.

        Parameters
        ----------
        key : str
            See `Cell`.
        scheme : Scheme
            Canonical. Densities that differ by less than 2 % are one.
        epilogue : Epilogue, optional
            By default the one with which the layer was measured most often.
        """
        for found in self.epilogues(key) if epilogue is None else [epilogue]:
            near = [
                (abs(cell.scheme.density / scheme.density - 1), cell)
                for cell in self._cells.get((key, found), {}).values()
                if replace(cell.scheme, density=scheme.density) == scheme
            ]
            apart, cell = min(near, key=lambda one: one[0], default=(np.inf, None))
            if cell is not None and apart < _ALIKE:
                return cell.latency
        return None

    def latency(
        self, layer: Layer, scheme: Scheme | str = DENSE, epilogue: Epilogue | None = None
    ) -> Latency:
        """Return how long a layer takes under a scheme.

        Parameters
        ----------
        layer : Layer
        scheme : Scheme or str
        epilogue : Epilogue, optional
            What follows in the same kernel; by default what did in most measurements of the
            layer, or bias and activation.

        Raises
        ------
        FormatError
            If the scheme cannot be read.
        DatabaseError
            If the cell was not measured, and there is no predictor.
        """
        asked = Scheme.parse(scheme) if isinstance(scheme, str) else scheme
        wanted = canonical(layer, asked)
        known = self.measured(layer.key, wanted, epilogue)
        if known is not None:
            return known
        if self.predict is None:
            raise DatabaseError(
                f"{layer.key} was not measured under {wanted}, and the table has no predictor: "
                "profile a model that contains it, or open the table with "
                "tvm_sparse.profiling.read"
            )
        usual = next(iter(self.epilogues(layer.key)), Epilogue())
        return self.predict(layer, wanted, usual if epilogue is None else epilogue)


def canonical(layer: Layer, scheme: Scheme) -> Scheme:
    """Return one name for schemes that leave the same zeros on a layer.

    Blocks of whole kernels are blocks of single weights where kernels have one position, and
    nothing is pruned at density 1 or where every filter reads one channel.
    """
    if scheme.density == 1.0 or layer.depthwise or scheme.format == "dense":
        return replace(DENSE, bits=scheme.bits)
    if layer.kernel != (1, 1):
        return scheme
    if scheme.format == "one_by_n":
        return replace(scheme, format="block", block=(*scheme.block, 1))
    return replace(scheme, format="block") if scheme.format == "block_punched" else scheme


def _together(first: Cell, second: Cell) -> Cell:
    """Return two measurements of one cell as one: the steadier counts more, as variances tell."""
    sure = [one.runs / max(one.spread, _LEAST_SPREAD) ** 2 for one in (first, second)]
    share = sure[0] / sum(sure)
    seconds = share * first.seconds + (1 - share) * second.seconds
    apart = sqrt(share * (1 - share)) * abs(first.seconds - second.seconds) / seconds
    spread = hypot(sqrt(share) * first.spread, sqrt(1 - share) * second.spread)
    runs = first.runs + second.runs
    return replace(second, seconds=seconds, spread=max(spread, apart), runs=runs)
