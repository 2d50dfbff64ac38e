"""Write where skipping zeros breaks even with tiles of AMX as markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tvm_sparse.bench.tiles import Even

_NOTE = "Modelled by the cost formula for one core; nothing was measured."


def to_json(rows: Sequence[Even]) -> dict[str, Any]:
    """Return rows as plain data."""
    return {"modelled": True, "rows": [asdict(row) for row in rows]}


def markdown(rows: Sequence[Even]) -> str:
    """Return a table, and what it is not."""
    titles = ["layer", "dense VNNI, µs", "dense AMX, µs", "zeros in 4×4", "zeros in 16×64"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    return "\n".join([*lines, "", _NOTE])


def _cells(row: Even) -> list[str]:
    shares = ["never" if share == 1 else f"{share:.0%}" for share in (row.of_words, row.of_tiles)]
    return [row.layer, f"{row.words * 1e6:.0f}", f"{row.tiles * 1e6:.0f}", *shares]
