"""The report's page: pictures first, then tables; no other file is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from tvm_sparse.workflow.folder import Result
from tvm_sparse.workflow.report.gather import Found, Made

_TITLES = {
    "pareto": "Accuracy and latency",
    "layers": "What each layer got",
    "predictions": "Predicted and measured",
    "masks": "Masks",
    "curves": "Curves",
}
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2733}
body{max-width:1100px;margin:2em auto;padding:0 1em}
img{max-width:100%;border:1px solid #e3e7ec;border-radius:6px}
table{border-collapse:collapse;font-size:13px;margin:1em 0}
th,td{padding:4px 10px;text-align:right;border-bottom:1px solid #e3e7ec}
th:first-child,td:first-child,td.l,th.l{text-align:left}
.big{display:flex;gap:2.5em;flex-wrap:wrap;margin:1em 0}.big b{display:block;font-size:30px}
code{font-size:12px}h2{margin-top:1.8em}details{margin:1em 0}
"""


def html(found: Found, pictures: Mapping[str, str]) -> str:
    """Return the page.

    Parameters
    ----------
    found : Found
    pictures : mapping of str to str
        PNGs in base64, by name.
    """
    shown = "".join(
        f'<h2>{_TITLES[name]}</h2><img alt="{_TITLES[name]}" src="data:image/png;base64,{data}">'
        for name, data in pictures.items()
    )
    config = found.config
    about = f"{config['model']['name']} on {config['data']['name']}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(found.name)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(found.name)}: {escape(about)}</h1>"
        f"{_headline(found)}{_plans(found)}{shown}<h2>Layers</h2>{_layers(found.made[0])}"
        f"{_origin(found)}</html>"
    )


def _headline(found: Found) -> str:
    own = found.made[0]
    figures = {
        "speed-up": f"{own.verified['speedup']:.2f}×",
        "of torch": f"{found.dense['over_torch'] * own.verified['speedup']:.2f}×",
        "latency": f"{own.verified['sparse'] * 1e3:.3g} ms",
        "accuracy": f"{own.verified['accuracy']:.1%}",
        "dense": f"{found.train['accuracy']:.1%}",
        "within reach": f"{own.plan.reach:.2f}×",
    }
    cells = "".join(f"<div>{name}<b>{value}</b></div>" for name, value in figures.items())
    return f'<div class="big">{cells}</div>'


def _plans(found: Found) -> str:
    head = (
        "plan",
        "speed-up",
        "ms",
        "predicted ms",
        "accuracy",
        "pruned",
        "fine-tuned",
        "fewer bits",
        "KiB weights",
    )
    rows = [
        (
            made.name,
            f"{made.verified['speedup']:.2f}×",
            f"{made.verified['sparse'] * 1e3:.3f}",
            f"{made.verified['predicted'] * 1e3:.3f} ({_off(made):+.0%})",
            f"{made.verified['accuracy']:.2%}",
            f"{made.pruned['accuracy']:.1%}",
            f"{made.fine_tuned['accuracy']:.2%}",
            _bits(made.quantized),
            f"{made.built['nbytes'] / 1024:.0f}",
        )
        for made in found.made
    ]
    return _table(head, rows)


def _bits(quantized: Result) -> str:
    """Return how many layers have which precision, e.g. ``5 int8, 2 int4``."""
    each = quantized.get("bits", {"int8": quantized["layers"]} if quantized["layers"] else {})
    return ", ".join(f"{number} {name}" for name, number in each.items()) or "0"


def _off(made: Made) -> float:
    predicted, measured = made.verified["predicted"], made.verified["sparse"]
    return float(predicted / measured - 1)


def _layers(made: Made) -> str:
    head = ("layer", "scheme", "bits", "stored as", "ms", "predicted ms", "dense ms")
    rows = [
        (
            row["name"],
            row["scheme"],
            str(row["bits"]),
            row["stored"],
            *(f"{row[what] * 1e3:.4f}" for what in ("measured", "predicted", "dense")),
        )
        for row in made.layers
    ]
    return _table(head, rows)


def _origin(found: Found) -> str:
    """Return where the latencies come from, and the configuration."""
    origin = {k: v for k, v in found.profile.get("provenance", {}).items() if k != "flags"}
    told = [*origin.items(), *((k, v) for k, v in found.config.items())]
    rows = [(str(name), str(value)) for name, value in told]
    return f"<details><summary>Origin</summary>{_table(('what', 'value'), rows)}</details>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    title = "".join(f"<th>{escape(text)}</th>" for text in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{title}</tr>{body}</table>"
