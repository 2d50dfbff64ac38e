"""What a place is where candidates run.

Whatever it is, a candidate reaches it as a folder: ``arguments.npz``, which `Arguments.read` reads,
and beside it what `Place.export` made of the code. The place answers with times in seconds, or with
an error.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tvm.s_tir import meta_schedule as ms

from tvm_sparse.targets import Target
from tvm_sparse.tuning import candidate, provenance

_LOST = "lost: "
EVALUATOR = ms.runner.EvaluatorConfig(number=1, repeat=5, min_repeat_ms=10)


@dataclass(kw_only=True)
class Outcome:
    """What came of running a candidate.

    Parameters
    ----------
    runs : list of list of float
        For each run, the times of its repetitions in seconds.
    error : str, optional
        What went wrong.
    """

    runs: list[list[float]] = field(default_factory=list)
    error: str | None = None

    def add(self, result: Any) -> None:
        """Add what a runner says of one more run."""
        if result.error_msg is not None:
            self.error = str(result.error_msg)
        else:
            self.runs.append([float(time) for time in result.run_secs])


def lost(reason: str) -> str:
    """Return the error of a candidate that could not be run, through no fault of its own."""
    return _LOST + reason


def is_lost(error: str | None) -> bool:
    """Whether an error tells nothing about the candidate, which is to be measured another time."""
    return error is not None and error.startswith(_LOST)


def reason_lost(error: str) -> str:
    """Return the reason that `lost` was given."""
    return error.removeprefix(_LOST)


class Place(ABC):
    """Where candidates run.

    Parameters
    ----------
    target : Target
    """

    def __init__(self, target: Target) -> None:
        self.target = target

    @property
    def within(self) -> bool:
        """Whether kernels can be timed within a network that runs there."""
        return False

    @property
    def device(self) -> str:
        """What TVM calls the device that candidates run on."""
        return str(self.target.tvm["kind"]) if self.target.is_gpu else "cpu"

    @property
    @abstractmethod
    def origin(self) -> provenance.About:
        """Where times come from: machine, versions, date; see `provenance.told`."""

    @abstractmethod
    def runner(self, folder: Path) -> Any:
        """Return MetaSchedule's runner of candidates.

        Its inputs name what `export` returned; its results are the seconds of
        ``EVALUATOR.repeat`` repetitions, or an error. An error that `lost` made ends the search,
        and is not recorded.

        Parameters
        ----------
        folder : Path
            That of all candidates; holds outputs that others are compared with.
        """

    def export(self, built: candidate.Built) -> str:
        """Write a candidate down in a folder of its own; MetaSchedule's ``f_export``.

        Runs in the builder's processes, into which the place is copied.
        """
        return candidate.export(built)

    def compare(
        self, runner: Any, groups: Sequence[Sequence[str]], rounds: int
    ) -> list[list[Outcome]]:
        """Run the candidates of each group in turns, one at a time.

        Parameters
        ----------
        runner : PyRunner
            What `runner` returned.
        groups : sequence of sequences of str
            What `export` returned.
        rounds : int
        """
        found = [[Outcome() for _ in group] for group in groups]
        for group, outcomes in zip(groups, found, strict=True):
            for path, outcome in [*zip(group, outcomes, strict=True)] * rounds:
                if outcome.error is None:
                    outcome.add(run(runner, [path], self.device)[0])
        return found


def run(runner: Any, paths: Sequence[str], device: str = "cpu") -> list[Any]:
    """Return MetaSchedule's results of running candidates once, as many at a time as it likes."""
    inputs = [ms.runner.RunnerInput(path, device, []) for path in paths]
    return [future.result() for future in runner.run(inputs)]
