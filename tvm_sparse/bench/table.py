"""Write measurements as markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tvm_sparse.bench import machine, rivals
from tvm_sparse.bench.quoted import Quoted, quoted
from tvm_sparse.bench.run import Row
from tvm_sparse.scheme import Scheme


def to_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Return machine, engines and rows as plain data; times in seconds, one a round."""
    return {
        "machine": machine.describe(),
        "engines": rivals.installed(),
        "missing": rivals.missing(),
        "quoted": [asdict(entry) for entry in _quoted(rows)],
        "rows": [asdict(row) for row in rows],
    }


def markdown(rows: Sequence[Row]) -> str:
    """Return a table, followed by its summary, the machine and the engines."""
    engines = [name for name in rivals.NAMES if any(name in row.rivals for row in rows)]
    titles = ["case", "pruned", "threads", "sparse ms", "own dense ms"]
    titles += [f"{name} ms" for name in engines]
    titles += ["× fastest rival", "× own dense", "GFLOP/s on non-zeros", "of dense peak"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(_cells(row, engines)) + " |" for row in rows]
    return "\n".join([*lines, "", *summary(rows), "", *_footer(), *_published(rows)])


def summary(rows: Sequence[Row]) -> list[str]:
    """Return one line a scheme and number of threads: geometric means and the worst case."""
    lines = []
    for key in dict.fromkeys((row.set, _kind(row), row.threads) for row in rows):
        group = [row for row in rows if (row.set, _kind(row), row.threads) == key]
        parts = [f"{len(group)} case{'s' * (len(group) > 1)}"]
        for name in rivals.NAMES:
            ratios = [row.sparse.ratio(row.rivals[name]) for row in group if name in row.rivals]
            if ratios:
                parts.append(f"{_geometric(ratios):.2f}× {name}")
        own = [row.sparse.ratio(row.dense) for row in group]
        parts.append(f"{_geometric(own):.2f}× own dense (worst {min(own):.2f}×)")
        parts.append(_of_peak(group))
        lines.append(
            f"- {key[0]}, {key[1]}, {key[2]} thread{'s' * (key[2] > 1)}: {', '.join(parts)}"
        )
    return lines


def _of_peak(group: Sequence[Row]) -> str:
    """Return the median share of peak: of the cases, and of all layers where some occur often."""
    shares = [row.of_peak for row in group]
    text = f"median {np.median(shares):.2f} of peak"
    often = [row.occurrences for row in group]
    if max(often) == 1:
        return text
    return f"{text}, of all {sum(often)} layers {np.median(np.repeat(shares, often)):.2f}"


def _kind(row: Row) -> str:
    scheme = Scheme.parse(row.scheme)
    return f"{str(scheme).split('@')[0]} {1 - scheme.density:.0%} zeros"


def _cells(row: Row, engines: Sequence[str]) -> list[str]:
    def ms(times: Any) -> str:
        if times is None:
            return "–"
        return f"{times.median * 1e3:.3g} ±{times.spread:.0%}"

    name, ratio = row.fastest
    return [
        row.case,
        _kind(row),
        str(row.threads),
        ms(row.sparse),
        ms(row.dense),
        *[ms(row.rivals.get(engine)) for engine in engines],
        f"{ratio:.2f} ({name})" if name else "–",
        f"{row.sparse.ratio(row.dense):.2f}",
        f"{row.gflops:.0f}",
        f"{row.of_peak:.2f}",
    ]


def _quoted(rows: Sequence[Row]) -> list[Quoted]:
    """Return what is known of other engines on the networks that were measured."""
    return quoted({row.case for row in rows if row.set == "networks"})


def _published(rows: Sequence[Row]) -> list[str]:
    lines = [f"- {entry}" for entry in _quoted(rows)]
    title = "Not measured here but quoted, each over its own dense run, on other machines:"
    return ["", title, *lines] if lines else []


def _footer() -> list[str]:
    engines = ", ".join(f"{name} {number}" for name, number in rivals.installed().items())
    lines = machine.footer(f"against {engines or 'nothing'}")
    if rivals.missing():
        lines.append(f"Not installed, so not measured: {', '.join(rivals.missing())}.")
    return lines


def _geometric(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))
