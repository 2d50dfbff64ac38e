"""Write compared plans as markdown and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tvm_sparse.bench import machine
from tvm_sparse.workflow.comparison import PlanRow

_MET, _NEAR = 0.05, 0.1  # how far from wanted and from predicted is still good


def to_json(rows: Sequence[PlanRow]) -> dict[str, Any]:
    """Return machine and rows as plain data; times in seconds."""
    return {"machine": machine.describe(), "rows": [asdict(row) for row in rows]}


def markdown(rows: Sequence[PlanRow]) -> str:
    """Return a line for each network, budget and strategy: means over the seeds."""
    good = [row for row in rows if not row.reason]
    epochs = sorted({number for row in good for number in row.accuracies})
    titles = ["network, budget, plan", "seeds", "speed-up", "ms", "predicted against measured"]
    titles += ["dense accuracy", *(f"after {n} epochs" if n else "one shot" for n in epochs)]
    lines = ["| " + " | ".join([*titles, "sum of errors"]) + " |", "|---" * (len(titles) + 1) + "|"]
    groups = dict.fromkeys((row.network, row.budget, row.strategy) for row in rows)
    for key in groups:
        group = [row for row in rows if (row.network, row.budget, row.strategy) == key]
        lines.append("| " + " | ".join(_cells(key, group, epochs)) + " |")
    return "\n".join([*lines, "", *_summary(good), "", *machine.footer()])


def _cells(key: tuple[str, str, str], group: Sequence[PlanRow], epochs: Sequence[int]) -> list[str]:
    network, budget, strategy = key
    name, found = f"{network}, {budget}, {strategy}", [row for row in group if not row.reason]
    if not found:
        return [name, f"0 of {len(group)}", group[0].reason, *["–"] * (len(epochs) + 4)]
    dense = [row.accuracy for row in found]
    return [
        name,
        f"{len(found)} of {len(group)}" if len(found) < len(group) else str(len(found)),
        f"{_mean(row.speedup for row in found):.2f}×",
        f"{_mean(row.sparse for row in found) * 1e3:.3f}",
        f"{_mean(row.off for row in found):+.1%}",
        f"{np.mean(dense):.2%}",
        *[_lost([row.accuracies[n] for row in found], dense) for n in epochs],
        f"{_mean(row.error for row in found):.2f}",
    ]


def _lost(found: Sequence[float], dense: Sequence[float]) -> str:
    """Return an accuracy, and its difference to dense with the standard error over the seeds."""
    apart = np.subtract(found, dense)
    error = np.std(apart, ddof=1) / np.sqrt(len(apart)) if len(apart) > 1 else 0.0
    return f"{np.mean(found):.2%} ({np.mean(apart) * 100:+.2f} ±{error * 100:.2f})"


def _summary(rows: Sequence[PlanRow]) -> list[str]:
    """Return how many plans met their budget, and how many were predicted well."""
    if not rows:
        return []
    met = sum(abs(row.met - 1) <= _MET for row in rows)
    first = sum(abs(row.uncorrected - 1) <= _MET for row in rows)
    near = sum(abs(row.off) <= _NEAR for row in rows)
    plain = sum(abs(row.off_by_table) <= _NEAR for row in rows)
    tried = sum(row.uncorrected > 0 for row in rows)
    return [
        f"- {met} of {len(rows)} plans have the wanted speed within {_MET:.0%}"
        f"{f'; of the first tries {first} of {tried}' if tried else ''}.",
        f"- {near} of {len(rows)} networks are predicted within {_NEAR:.0%}; without what was "
        f"measured of others before, {plain}.",
    ]


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
