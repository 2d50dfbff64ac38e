"""The whole run on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tvm_sparse.cli.show import Json, error_console, planning_bar, print_json

if TYPE_CHECKING:
    from tvm_sparse.workflow.variant import Variant

_SHOWN = {
    "accuracy": "accuracy {:.2%}",
    "layers": "{} layers of fewer bits",
    "cells": "{} cells",
    "seconds": "{:.3g} s",
    "reach": "largest speed-up within reach {:.2f}x",
    "speedup": "{:.2f}x of dense",
}
_COLUMNS = ("", "accuracy", "latency", "predicted", "× dense", "× torch", "weights")


def run(
    config: Annotated[Path, typer.Argument(help="A TOML file; an empty one is a run too.")],
    as_json: Json = False,
) -> None:
    """Train or load, profile, plan, prune, fine-tune, quantize, tune, build, verify and report.

    Stages that ended are not repeated: Ctrl-C, and go on later.

    Example: `tvm-sparse run digits.toml`
    """
    try:
        with planning_bar() as tell:
            from tvm_sparse.workflow.run import run as begin

            variants = begin(config, tell, _told)
    except KeyboardInterrupt:
        error_console.print("what ended is kept: the same command goes on from there")
        raise
    if as_json:
        print_json({one.name: one.verified for one in variants})
    else:
        _show(variants)


def _told(stage: str, found: dict[str, Any]) -> None:
    """Print a line when a stage has ended."""
    shown = [text.format(found[name]) for name, text in _SHOWN.items() if found.get(name)]
    if found.get("database") == "" or found.get("layers") == 0:
        shown = ["off"]
    error_console.print(": ".join([stage, ", ".join(shown) or "done"]), highlight=False)


def _show(variants: list[Variant]) -> None:
    """Print a row for torch, for the dense network and for each plan, and what was written."""
    from rich.console import Console
    from rich.table import Table

    shared = variants[0].shared
    config, dense = shared.config, shared.measured
    threads = "one thread" if config.build.threads == 1 else f"{config.build.threads} threads"
    table = Table(title=f"{config.model.name} on {config.data.name}, one image, {threads}")
    for title in _COLUMNS:
        table.add_column(title, justify="right" if title else "left")
    share, nbytes = shared.trained["accuracy"], dense["nbytes"]
    over = dense["over_torch"]
    table.add_row(*_row("torch", share, dense["torch"], dense["torch_spread"], nbytes, 1.0))
    row = _row("ours, dense", share, dense["seconds"], dense["spread"], nbytes, over, 1.0)
    table.add_row(*row)
    for one in variants:
        found, faster = one.verified, one.verified["speedup"]
        name = ", ".join(["ours", one.name, *one.quantized.get("bits", {})])
        own = found["accuracy"], found["sparse"], found["spread"], one.built["nbytes"]
        row = _row(name, *own, over * faster, faster, found["predicted"])
        table.add_row(*row)
    Console(width=100).print(table)
    for one in variants:
        path = one.folder.path / "sparse.so"
        print(f"exported to {path} ({path.stat().st_size / 1e6:.2f} MB)")
    print(f"report: {shared.folder.path / 'report.html'}")


def _row(
    name: str,
    accuracy: float,
    seconds: float,
    spread: float,
    nbytes: float,
    over_torch: float,
    over_dense: float | None = None,
    predicted: float | None = None,
) -> list[str]:
    return [
        name,
        f"{accuracy:.2%}",
        f"{seconds * 1e3:.3f} ms ±{spread:.0%}",
        "" if predicted is None else f"{predicted * 1e3:.3f} ms",
        "" if over_dense is None else f"{over_dense:.2f}",
        f"{over_torch:.2f}",
        f"{nbytes / 1e6:.2f} MB",
    ]
