"""What the commands show: JSON, the running stage, a bar."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
error_console = Console(stderr=True)


def print_json(content: Any) -> None:
    """Print what machines read."""
    print(json.dumps(content, indent=2, ensure_ascii=False))


@contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """Show the running stage on stderr: a spinner for people, nothing in a pipe."""
    with error_console.status("starting") as status:
        yield lambda text: status.update(text)


def told_failures(failures: Mapping[str, int]) -> str:
    """Return how many candidates failed, and why: the three most frequent reasons."""
    often = sorted(failures.items(), key=lambda item: -item[1])
    reasons = [f"{number} × {why}" for why, number in often[:3]]
    return f"{sum(failures.values())} failed: {', '.join(reasons + ['…'] * (len(often) > 3))}"


@contextmanager
def tuning_bar() -> Iterator[Callable[[Any], None]]:
    """Show on stderr how many candidates were measured, the best times, and the time left."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (BarColumn(), MofNCompleteColumn(), TimeLeft(), TextColumn("{task.description}"))
    with Progress(*columns, console=error_console, transient=True) as bar:
        shown = bar.add_task("importing", total=None)

        def tell(state: Any) -> None:
            best = f"{state.milliseconds:.3g} of {state.default:.3g} ms"
            failed = f", {told_failures(state.failures)}" if state.failures else ""
            text = f"{best}{failed}: {state.stage}"
            bar.update(shown, completed=state.done, total=state.total, description=text)

        yield tell
