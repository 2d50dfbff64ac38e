"""Write modelled cycles of int8 as markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tvm_sparse.bench.cycles_table import LIMITS
from tvm_sparse.bench.integer_cycles import IntegerCycleRow


def to_json(rows: Sequence[IntegerCycleRow]) -> dict[str, Any]:
    """Return the rows, and what the model leaves out, as plain data."""
    return {"limits": LIMITS, "rows": [{**asdict(row), "ratio": row.ratio} for row in rows]}


def markdown(rows: Sequence[IntegerCycleRow]) -> str:
    """Return a table, a line for each set, scheme and target, and what the model leaves out."""
    titles = ["case", "pruned", "target", "int8 Mcycles", "float32 Mcycles", "× float32"]
    titles += ["int8 multiply-adds on non-zeros a cycle"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    return "\n".join([*lines, "", *_summary(rows), "", LIMITS])


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


def _summary(rows: Sequence[IntegerCycleRow]) -> list[str]:
    """Return one line a set, scheme and target: ratios, and that of all occurrences together."""
    lines = []
    for key in dict.fromkeys((row.set, row.scheme, row.target) for row in rows):
        group = [row for row in rows if (row.set, row.scheme, row.target) == key]
        ratios = [row.ratio for row in group]
        mean = np.exp(np.mean(np.log(ratios)))
        floats = sum(row.number * row.float32 for row in group)
        together = floats / sum(row.number * row.int8 for row in group)
        lines.append(
            f"- {key[0]}, {key[1]}, {key[2]}: {len(group)} case{'s' * (len(group) > 1)}, "
            f"{mean:.2f}× float32 (worst {min(ratios):.2f}×), {together:.2f}× together"
        )
    return lines
