"""Write how well the cost model orders kernels as markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tvm_sparse.bench import machine
from tvm_sparse.bench.ranking import RankingRow

_SEARCHES = ("random", "formula", "cold", "warm")


def to_json(rows: Sequence[RankingRow]) -> dict[str, Any]:
    """Return machine, means, and rows as plain data."""
    return {
        "machine": machine.describe(),
        "pairs": _mean([row.pairs for row in rows]),
        "recall": _mean([row.recall for row in rows]),
        "peak": _mean([row.peak for row in rows]),
        "trials": {name: _mean([row.trials[name] for row in rows]) for name in _SEARCHES},
        "rows": [asdict(row) for row in rows],
    }


def markdown(rows: Sequence[RankingRow]) -> str:
    """Return the means and a table of the layers that were held out."""
    trials = ", ".join(f"{name} {_mean([r.trials[name] for r in rows]):.3g}" for name in _SEARCHES)
    lines = [
        f"- {len(rows)} layers held out: {_mean([row.pairs for row in rows]):.1%} of pairs in "
        f"order (the formula: {_mean([row.by_formula for row in rows]):.1%}), top-5 recall "
        f"{_mean([row.recall for row in rows]):.2f}, average peak "
        f"{_mean([row.peak for row in rows]):.3f}",
        f"- trials until 95 % of the best: {trials}",
        "",
    ]
    titles = ["layer", "samples", "pairs", "by formula", "top-5 recall", "average peak"]
    titles += [f"trials {name}" for name in _SEARCHES]
    lines += ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    return "\n".join([*lines, "", *machine.footer()])


def _cells(row: RankingRow) -> list[str]:
    ranks = [f"{row.pairs:.1%}", f"{row.by_formula:.1%}", f"{row.recall:.1f}", f"{row.peak:.3f}"]
    trials = [f"{row.trials[name]:.3g}" for name in _SEARCHES]
    return [row.layer, str(row.samples), *ranks, *trials]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
