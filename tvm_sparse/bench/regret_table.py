"""Write the regrets of choices as markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tvm_sparse.bench import machine
from tvm_sparse.bench.regret import RegretRow

_WORST = 20  # rows that are listed


def to_json(rows: Sequence[RegretRow]) -> dict[str, Any]:
    """Return machine, mean and worst regret, and rows as plain data; times in seconds."""
    return {
        "machine": machine.describe(),
        "mean": _mean(rows),
        "worst": max(row.regret for row in rows),
        "rows": [{**asdict(row), "best": row.best, "regret": row.regret} for row in rows],
    }


def markdown(rows: Sequence[RegretRow]) -> str:
    """Return means by set and number of threads, and a table of the worst rows."""
    lines = [_line("all", rows)]
    for key in dict.fromkeys((row.set, row.threads) for row in rows):
        group = [row for row in rows if (row.set, row.threads) == key]
        lines.append(_line(f"{key[0]}, {key[1]} thread{'s' * (key[1] > 1)}", group))
    titles = ["case", "set", "pruned", "threads", "chosen", "ms", "predicted ms"]
    titles += ["best", "ms", "predicted ms", "regret"]
    lines += ["", "| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    worst = sorted(rows, key=lambda row: row.regret, reverse=True)[:_WORST]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in worst]
    return "\n".join([*lines, "", *machine.footer()])


def _line(name: str, rows: Sequence[RegretRow]) -> str:
    right = sum(row.chosen == row.best for row in rows)
    return (
        f"- {name}: {len(rows)} choices, mean regret {_mean(rows):.1%}, "
        f"worst {max(row.regret for row in rows):.1%}, {right} of them the fastest"
    )


def _mean(rows: Sequence[RegretRow]) -> float:
    return float(np.mean([row.regret for row in rows]))


def _cells(row: RegretRow) -> list[str]:
    def way(name: str) -> list[str]:
        times = row.times[name]
        measured = f"{times.median * 1e3:.3g} ±{times.spread:.0%}"
        return [name, measured, f"{row.predicted[name] * 1e3:.3g}"]

    pruned = f"{row.scheme} {row.zeros:.0%} zeros"
    ways = [*way(row.chosen), *way(row.best)]
    return [row.case, row.set, pruned, str(row.threads), *ways, f"{row.regret:.1%}"]
