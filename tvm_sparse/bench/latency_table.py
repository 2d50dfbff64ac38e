"""Rows of predicted and measured networks, for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm_sparse.bench.latency import LatencyRow

_HEAD = "network | scheme | threads | predicted | measured | error | layers looked up | no layer"


def to_json(rows: Sequence[LatencyRow]) -> list[dict[str, Any]]:
    """Return the rows as plain values, times in seconds."""
    return [
        {
            "case": row.case,
            "scheme": row.scheme,
            "threads": row.threads,
            "predicted": row.predicted.seconds,
            "measured": row.measured.median,
            "spread": row.measured.spread,
            "error": row.error,
            "looked_up": row.predicted.measured,
            "rest": row.predicted.rest,
        }
        for row in rows
    ]


def markdown(rows: Sequence[LatencyRow]) -> str:
    """Return a table, and how many networks are predicted within 10 %."""
    lines = [f"| {_HEAD} |", "|---" * (_HEAD.count("|") + 1) + "|"]
    for row in rows:
        share = row.predicted.rest / row.predicted.seconds
        cells = [
            row.case,
            row.scheme,
            str(row.threads),
            f"{row.predicted.seconds * 1e3:.3g} ms",
            f"{row.measured.median * 1e3:.3g} ms ±{row.measured.spread:.0%}",
            f"{row.error:+.1%}",
            f"{row.predicted.measured:.0%}",
            f"{share:.0%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    near = sum(abs(row.error) <= 0.1 for row in rows)
    return "\n".join([*lines, "", f"{near} of {len(rows)} networks within 10 %"])
