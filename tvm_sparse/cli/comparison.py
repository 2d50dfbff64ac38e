"""The comparison of plans on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tvm_sparse.cli.show import Json, error_console, planning_bar, print_json


def plans(
    folder: Annotated[Path, typer.Argument(help="Where to work; what ended is not repeated.")],
    networks: Annotated[
        str, typer.Option(help="Of resnet8, resnet20, mobilenet_small.")
    ] = "resnet8,mobilenet_small",
    seeds: Annotated[int, typer.Option(help="Networks that are trained of each kind.", min=1)] = 5,
    strategies: Annotated[str, typer.Option(help="Ways to plan.")] = "uniform,rules,search",
    speedup: Annotated[str, typer.Option(help="What is asked for, over dense.")] = "2.5,5",
    epochs: Annotated[str, typer.Option(help="Of fine-tuning; 0 is none.")] = "0,1,3",
    method: Annotated[str, typer.Option(help="Of pruning.")] = "least_squares",
    formats: Annotated[str, typer.Option(help="What plans choose from.")] = "",
    time: Annotated[float, typer.Option(help="Seconds for a network's latency table.")] = 300.0,
    as_json: Json = False,
) -> None:
    """Compare ways to plan, all the way: digits, several seeds, measured speed-ups, accuracies.

    Ctrl-C, and go on later.

    Example: `tvm-sparse bench plans runs/plans --networks resnet8 --seeds 5 --speedup 2.5,5`
    """
    rows: list[Any] = []
    with planning_bar() as tell:
        from tvm_sparse.workflow import comparison, comparison_table

        wanted = comparison.Comparison(
            folder=folder,
            strategies=strategies.split(","),
            budgets=[f"{_number(text):g}x" for text in speedup.split(",")],
            epochs=[int(_number(text)) for text in epochs.split(",")],
            method=method,
            formats=[text for text in formats.split(",") if text],
            seconds=time,
        )
        for row in comparison.compare(wanted, networks.split(","), range(seeds), tell):
            rows.append(row)
            error_console.print(_told(row), highlight=False)
    if as_json:
        print_json(comparison_table.to_json(rows))
    else:
        print(comparison_table.markdown(rows))


def _told(row: Any) -> str:
    name = f"{row.network}, seed {row.seed}, {row.strategy} {row.budget}"
    if row.reason:
        return f"{name}: {row.reason}"
    found = ", ".join(f"{value:.2%} ({number})" for number, value in row.accuracies.items())
    return f"{name}: {row.speedup:.2f}x, predicted {row.off:+.1%}, accuracies {found}"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(f"expected numbers with commas, got {text!r}") from error
