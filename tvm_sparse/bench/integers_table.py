"""Write measurements in int8 as markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tvm_sparse.bench import machine
from tvm_sparse.bench.integers import IntegerRow
from tvm_sparse.bench.timing import Times


def to_json(rows: Sequence[IntegerRow]) -> dict[str, Any]:
    """Return machine and rows as plain data; times in seconds, one a round."""
    return {"machine": machine.describe(), "rows": [asdict(row) for row in rows]}


def markdown(rows: Sequence[IntegerRow]) -> str:
    """Return a table, geometric means by scheme, and the machine."""
    engines = list(dict.fromkeys(name for row in rows for name in row.rivals))
    titles = ["case", "pruned", "threads", "int8 ms", "float32 ms"]
    titles += [f"{name} int8 ms" for name in engines]
    titles += ["× float32", "× fastest rival", "error"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(_cells(row, engines)) + " |" for row in rows]
    for scheme in dict.fromkeys(row.scheme for row in rows):
        ratios = [row.int8.ratio(row.float32) for row in rows if row.scheme == scheme]
        mean = float(np.exp(np.mean(np.log(ratios))))
        lines.append(f"- {scheme}: {mean:.2f}× float32 (worst {min(ratios):.2f}×)")
    return "\n".join([*lines, "", *machine.footer()])


def _cells(row: IntegerRow, engines: Sequence[str]) -> list[str]:
    ratios = [row.int8.ratio(times) for times in row.rivals.values()]
    return [
        row.case,
        row.scheme,
        str(row.threads),
        _ms(row.int8),
        _ms(row.float32),
        *[_ms(row.rivals[name]) if name in row.rivals else "–" for name in engines],
        f"{row.int8.ratio(row.float32):.2f}",
        f"{min(ratios):.2f}" if ratios else "–",
        "–" if np.isnan(row.error) else f"{row.error:.2%}",
    ]


def _ms(times: Times) -> str:
    return f"{times.median * 1e3:.3g} ±{times.spread:.0%}"
