"""Write the shares of valid samples as markdown and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tvm_sparse.bench import machine
from tvm_sparse.tuning.survey import Survey


def to_json(rows: Sequence[Survey]) -> dict[str, Any]:
    """Return the machine, the share of valid samples among those built, and rows as plain data."""
    return {
        "machine": machine.describe(),
        "valid": _share(rows, "valid", "tried"),
        "rows": [asdict(row) for row in rows],
    }


def markdown(rows: Sequence[Survey]) -> str:
    """Return a table by families of kernels, and what went wrong."""
    titles = ["kernels", "spaces", "drawn", "fit", "built", "valid"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    families = dict.fromkeys(_family(row) for row in rows)
    lines += [_line(name, [row for row in rows if _family(row) == name]) for name in families]
    lines += [_line("all", rows)]
    errors: Counter[str] = Counter()
    for row in rows:
        errors.update(row.errors)
    lines += [f"- {number} × {error}" for error, number in errors.most_common()]
    return "\n".join([*lines, "", *machine.footer()[:1]])


def _family(row: Survey) -> str:
    """Return the family of a space; its dense kernels are one of their own."""
    family, form = row.space.split(" ", 1)
    return f"{family}, dense" if form == "dense" else family


def _line(name: str, rows: Sequence[Survey]) -> str:
    drawn, tried = (sum(getattr(row, key) for row in rows) for key in ("drawn", "tried"))
    fit, valid = _share(rows, "fitting", "drawn"), _share(rows, "valid", "tried")
    return f"| {name} | {len(rows)} | {drawn} | {fit:.0%} | {tried} | {valid:.1%} |"


def _share(rows: Sequence[Survey], part: str, whole: str) -> float:
    some, every = (sum(getattr(row, key) for row in rows) for key in (part, whole))
    return float(some / max(every, 1))
