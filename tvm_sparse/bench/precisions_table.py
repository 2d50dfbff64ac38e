"""Write measurements of weights of few bits as markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tvm_sparse.bench import machine
from tvm_sparse.bench.precisions import FLOATS, PrecisionRow

_TITLES = ("layer", "pruned", "weights", "KiB", "ms", "× float32", "error")


def to_json(rows: Sequence[PrecisionRow]) -> dict[str, Any]:
    """Return machine and rows as plain data; times in seconds, one a round."""
    return {"machine": machine.describe(), "rows": [asdict(row) for row in rows]}


def markdown(rows: Sequence[PrecisionRow]) -> str:
    """Return a table, a line for each precision of a layer, and the machine."""
    lines = ["| " + " | ".join(_TITLES) + " |", "|" + "---|" * len(_TITLES)]
    lines += ["| " + " | ".join(_cells(row, name)) + " |" for row in rows for name in row.times]
    return "\n".join([*lines, "", *machine.footer()])


def _cells(row: PrecisionRow, name: str) -> list[str]:
    times = row.times[name]
    return [
        row.case,
        row.scheme,
        name,
        f"{row.nbytes[name] / 1024:.0f}",
        f"{times.median * 1e3:.3g} ±{times.spread:.0%}",
        f"{times.ratio(row.times[FLOATS]):.2f}",
        f"{row.errors[name]:.2%}",
    ]
