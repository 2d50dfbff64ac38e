"""What was measured of a network's kernels, as cells of a latency table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from tvm_sparse.latency import DENSE, Cell, Epilogue, LatencyTable, canonical
from tvm_sparse.profiling.lowered import Called, stored
from tvm_sparse.profiling.rounds import Rounds
from tvm_sparse.scheme import Scheme


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network whose kernels are timed, and the schemes of its layers by name."""

    schemes: Mapping[str, Scheme]
    rounds: Rounds

    def cells(self) -> list[Cell]:
        """Return what was measured, repeated operators as one cell."""
        if not self.rounds.calls:
            return []
        found = LatencyTable([])
        runs = len(self.rounds.rounds)
        times = zip(self.rounds.calls, self.rounds.seconds, self.rounds.spreads, strict=True)
        for call, seconds, spread in times:
            found.add(cell_of(call, self.schemes, float(seconds), float(spread), runs))
        return found.cells


def unknown(
    calls: Sequence[Called],
    schemes: Mapping[str, Scheme],
    table: LatencyTable,
    spread: float = inf,
) -> list[Called]:
    """Return the calls that a table does not know up to a spread, those of one cell once."""
    found: dict[tuple[str, Scheme, Epilogue], Called] = {}
    for call in calls:
        cell = cell_of(call, schemes, 1.0, 0.0, 1)
        known = table.measured(cell.key, cell.scheme, cell.epilogue)
        if known is None or known.spread > spread:
            found.setdefault((cell.key, cell.scheme, cell.epilogue), call)
    return list(found.values())


def cell_of(
    call: Called, schemes: Mapping[str, Scheme], seconds: float, spread: float, runs: int
) -> Cell:
    """Return the cell of a measured call."""
    if call.layer is None:
        return Cell(
            key=call.key,
            scheme=DENSE,
            epilogue=Epilogue(0, 0),
            seconds=seconds,
            spread=spread,
            runs=runs,
        )
    choice = call.layer.choice
    return Cell(
        key=choice.layer.key,
        scheme=canonical(choice.layer, schemes.get(choice.layer.name, DENSE)),
        epilogue=call.layer.epilogue,
        seconds=seconds,
        spread=spread,
        runs=runs,
        kernel=f"{stored(choice)}: {choice.kernel}" if choice.is_sparse else str(choice.kernel),
        terms=call.layer.terms,
    )
