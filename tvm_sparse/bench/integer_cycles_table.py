"""Write modelled cycles of int8 as markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence

from tvm_sparse.bench.cycles_table import summary, to_json, written
from tvm_sparse.bench.integer_cycles import IntegerCycleRow

__all__ = ["markdown", "to_json"]


def markdown(rows: Sequence[IntegerCycleRow]) -> str:
    """Return a table, a line for each set, scheme and target, and what the model leaves out."""
    titles = ["case", "pruned", "target", "int8 Mcycles", "float32 Mcycles", "× float32"]
    titles += ["int8 multiply-adds on non-zeros a cycle"]
    return written(titles, [_cells(row) for row in rows], summary(rows, "int8", "float32"))


def _cells(row: IntegerCycleRow) -> list[str]:
    return [
        row.case,
        row.scheme,
        row.target,
        f"{row.int8 / 1e6:.3g}",
        f"{row.float32 / 1e6:.3g}",
        f"{row.ratio:.2f}" + (" (stays dense)" if row.stored.startswith("dense") else ""),
        f"{row.macs:.1f}",
    ]
