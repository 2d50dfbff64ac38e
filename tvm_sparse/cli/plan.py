"""Plans on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tvm_sparse.cli.show import Json, error_console, planning_bar, print_json

Difficulty = Literal["easy", "hard"]


def numbers(bits: str) -> tuple[int, ...]:
    """Read e.g. ``32,8``."""
    try:
        return tuple(int(one) for one in bits.split(","))
    except ValueError as error:
        message = f"expected bits like 32,8,4, got {bits!r}"
        raise typer.BadParameter(message, param_hint="--bits") from error


def plan(
    model: Annotated[Path, typer.Argument(help="An .onnx file, or a .pt2 of torch.export.save.")],
    table: Annotated[Path, typer.Option(help="A latency table that `profile` wrote.")],
    budget: Annotated[
        str, typer.Option(help="A speed-up (2.5x), a time (3ms) or the weights' size (400KB).")
    ] = "2x",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the plan.")] = None,
    strategy: Annotated[
        Literal["dp", "rules", "uniform"], typer.Option(help="How schemes are chosen.")
    ] = "dp",
    formats: Annotated[
        str | None, typer.Option(help="Formats with blocks that are offered, e.g. one_by_n-4.")
    ] = None,
    bits: Annotated[
        str, typer.Option(help="Bits that layers may have: 32, 16, 8 (int8) or 4 (linear layers).")
    ] = "32",
    target: Annotated[str, typer.Option(help="A target's name, or a TOML profile.")] = "x86",
    difficulty: Annotated[Difficulty, typer.Option(help="Of the data, for the rules.")] = "easy",
    as_json: Json = False,
) -> None:
    """Choose a scheme for every layer within a budget, by a latency table and the weights alone.

    With data, and to search, use `tvm_sparse.plan` or `tvm-sparse run`.

    Example: `tvm-sparse plan model.onnx --table logs/here --budget 2.5x -o plan.json`

    In fewer bits: `tvm-sparse plan model.onnx --table logs/here --budget 400KB --bits 32,16,8,4`
    """
    with planning_bar() as tell:
        from tvm_sparse.planning.planner import Planner

        planner = Planner(
            model=model,
            table=table,
            target=target,
            schemes=None if formats is None else formats.split(","),
            bits=numbers(bits),
            progress=tell,
        )
        error_console.print(f"largest speed-up within reach: {planner.reach:.2f}x")
        found: Any = planner.plan(budget, strategy, difficulty=difficulty)
    if as_json:
        print_json(json.loads(found.to_json()))
    else:
        print(found)
    if output is not None:
        found.save(output)
        error_console.print(f"wrote {output}; tvm_sparse.Plan.read reads it, and prune takes it")
