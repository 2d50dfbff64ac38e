"""The whole run on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tvm_sparse.cli.show import Json, error_console, planning_bar, print_json

_SHOWN = {
    "accuracy": "accuracy {:.2%}",
    "cells": "{} cells",
    "seconds": "{:.3g} s",
    "reach": "largest speed-up within reach {:.2f}x",
    "speedup": "{:.2f}x of dense",
    "page": "wrote {}",
}


def run(
    config: Annotated[Path, typer.Argument(help="A TOML file; an empty one is a run too.")],
    as_json: Json = False,
) -> None:
    """Train or load, profile, plan, prune, fine-tune, tune, build, verify and report.

    Stages that ended are not repeated: Ctrl-C, and go on later.

    Example: `tvm-sparse run digits.toml`
    """
    with planning_bar() as tell:
        from tvm_sparse.workflow.run import run as begin

        variants = begin(config, tell, _told)
    if as_json:
        print_json({one.name: one.verified for one in variants})
        return
    for one in variants:
        found = one.verified
        print(
            f"{one.name}: {found['speedup']:.2f}x of dense, {found['sparse'] * 1e3:.3f} ms "
            f"(predicted {found['predicted'] * 1e3:.3f}), accuracy {found['accuracy']:.2%} "
            f"(dense {one.shared.trained['accuracy']:.2%})"
        )


def _told(stage: str, found: dict[str, Any]) -> None:
    """Print a line when a stage has ended."""
    shown = [text.format(found[name]) for name, text in _SHOWN.items() if name in found]
    error_console.print(": ".join([stage, ", ".join(shown) or "done"]), highlight=False)
