"""What the commands show: JSON, the running stage, a bar."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, Any, NamedTuple

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


def tuning_bar() -> AbstractContextManager[Callable[[Any], None]]:
    """Show on stderr how many candidates were measured, the best times, and the time left."""

    def text(state: Any) -> str:
        best = f"{state.milliseconds:.3g} of {state.default:.3g} ms"
        failed = f", {told_failures(state.failures)}" if state.failures else ""
        return f"{best}{failed}: {state.stage}"

    return _bar(text)


def profiling_bar() -> AbstractContextManager[Callable[[Any], None]]:
    """Show on stderr how many cells were measured, and the time left."""
    return _bar(lambda state: str(state.stage))


@contextmanager
def planning_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show on stderr how much of a plan's search is done, and the time left."""
    with _bar(lambda state: str(state.stage)) as tell:
        yield lambda stage, done, total: tell(Step(stage=stage, done=done, total=total))


class Step(NamedTuple):
    """How far something has come."""

    stage: str
    done: int
    total: int


@contextmanager
def _bar(text: Callable[[Any], str]) -> Iterator[Callable[[Any], None]]:
    """Show a bar on stderr, and yield what moves it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (BarColumn(), MofNCompleteColumn(), TimeLeft(), TextColumn("{task.description}"))
    with Progress(*columns, console=error_console, transient=True) as bar:
        shown = bar.add_task("importing", total=None)

        def tell(state: Any) -> None:
            bar.update(shown, completed=state.done, total=state.total, description=text(state))

        yield tell
