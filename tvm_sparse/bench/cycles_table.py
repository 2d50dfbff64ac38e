"""Write modelled cycles as markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tvm_sparse.bench.cycles import CycleRow

LIMITS = (
    "Modelled, not measured: executions of each basic block under qemu × its cycles by llvm-mca. "
    "The model knows no caches, no mispredicted branches, one thread."
)


def to_json(rows: Sequence[CycleRow]) -> dict[str, Any]:
    """Return the rows, and what the model leaves out, as plain data."""
    return {"limits": LIMITS, "rows": [{**asdict(row), "ratio": row.ratio} for row in rows]}


def markdown(rows: Sequence[CycleRow]) -> str:
    """Return a table, a line for each set and scheme, and what the model leaves out."""
    titles = ["case", "pruned", "zeros", "target", "sparse Mcycles", "own dense", "× own dense"]
    titles += ["of FMA peak on non-zeros", "inner loop", "dense inner loop"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    return "\n".join([*lines, "", *_summary(rows), "", LIMITS])


def _cells(row: CycleRow) -> list[str]:
    return [
        row.case,
        row.scheme,
        f"{row.zeros:.0%}",
        row.target,
        f"{row.sparse / 1e6:.3g}",
        f"{row.dense / 1e6:.3g}",
        f"{row.ratio:.2f}" + (" (stays dense)" if row.stored == "dense" else ""),
        f"{row.of_peak:.2f}",
        f"{row.inner:.2f}",
        f"{row.dense_inner:.2f}",
    ]


def _summary(rows: Sequence[CycleRow]) -> list[str]:
    """Return one line a set, scheme and target: ratios, and that of all occurrences together."""
    lines = []
    for key in dict.fromkeys((row.set, row.scheme, row.target) for row in rows):
        group = [row for row in rows if (row.set, row.scheme, row.target) == key]
        ratios = [row.ratio for row in group]
        mean = np.exp(np.mean(np.log(ratios)))
        dense = sum(row.number * row.dense for row in group)
        sparse = sum(row.number * row.sparse for row in group)
        lines.append(
            f"- {key[0]}, {key[1]}, {key[2]}: {len(group)} case{'s' * (len(group) > 1)}, "
            f"{mean:.2f}× own dense (worst {min(ratios):.2f}×), {dense / sparse:.2f}× together"
        )
    return lines
