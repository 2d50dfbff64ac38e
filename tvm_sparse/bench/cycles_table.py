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


def to_json(rows: Sequence[Any]) -> dict[str, Any]:
    """Return rows that have a ratio, and what the model leaves out, as plain data."""
    return {"limits": LIMITS, "rows": [{**asdict(row), "ratio": row.ratio} for row in rows]}


def markdown(rows: Sequence[CycleRow]) -> str:
    """Return a table, a line for each set and scheme, and what the model leaves out."""
    titles = ["case", "pruned", "zeros", "target", "sparse Mcycles", "own dense", "× own dense"]
    titles += ["of FMA peak on non-zeros", "inner loop", "dense inner loop"]
    return written(titles, [_cells(row) for row in rows], summary(rows, "sparse", "own dense"))


def written(titles: list[str], cells: Sequence[list[str]], below: Sequence[str]) -> str:
    """Return a table, what stands below it, and what the model leaves out."""
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([*lines, "", *below, "", LIMITS])


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


def summary(rows: Sequence[Any], ours: str, over: str) -> list[str]:
    """Return one line a set, scheme and target: ratios, and that of all occurrences together.

    Parameters
    ----------
    rows : sequence of row
    ours : str
        The attribute that holds the cycles of which the ratio is a multiple.
    over : str
        What is compared with.
    """
    lines = []
    for key in dict.fromkeys((row.set, row.scheme, row.target) for row in rows):
        group = [row for row in rows if (row.set, row.scheme, row.target) == key]
        ratios = [row.ratio for row in group]
        cycles = [row.number * getattr(row, ours) for row in group]
        mean = np.exp(np.mean(np.log(ratios)))
        lines.append(
            f"- {key[0]}, {key[1]}, {key[2]}: {len(group)} case{'s' * (len(group) > 1)}, "
            f"{mean:.2f}× {over} (worst {min(ratios):.2f}×), "
            f"{np.average(ratios, weights=cycles):.2f}× together"
        )
    return lines
