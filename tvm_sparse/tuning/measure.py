"""Build, run and record candidates with MetaSchedule's builder and runner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tvm.s_tir import meta_schedule as ms

from tvm_sparse.targets import native
from tvm_sparse.tuning import candidate, sampling, worker
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.task import Task

_BUILD_SECONDS = 60.0
_RUN_SECONDS = 20.0
_FAILED = 1e10  # seconds; as MetaSchedule records a failure

Pair = tuple[Task, Sample]


@dataclass(kw_only=True)
class Outcome:
    """What came of running a sample.

    Parameters
    ----------
    runs : list of list of float
        For each run, the times of its repetitions in seconds.
    error : str, optional
        What went wrong.
    """

    runs: list[list[float]] = field(default_factory=list)
    error: str | None = None


class Bench:
    """Where candidates are built and run: worker processes, and a folder that they share.

    Parameters
    ----------
    folder : Path
        Empty; holds what the workers need for as long as they run.
    tasks : list of Task
    database : Database
        Takes the records.
    workers : int, optional
        Processes that build; by default one a core. Candidates run one at a time.
    """

    def __init__(
        self, folder: Path, tasks: list[Task], database: Any, workers: int | None = None
    ) -> None:
        candidate.begin(folder, tasks)
        self.database = database
        self.builder = ms.builder.LocalBuilder(
            max_workers=workers or native.cores(),
            timeout_sec=_BUILD_SECONDS,
            f_build=partial(worker.plainly, candidate.build, folder),
            f_export=candidate.export,
            initializer=partial(worker.prepare, folder),
        )
        self.runner = ms.runner.LocalRunner(
            timeout_sec=_RUN_SECONDS,
            evaluator_config=ms.runner.EvaluatorConfig(number=1, repeat=5, min_repeat_ms=10),
            f_alloc_argument=candidate.allocate,
            f_run_evaluator=partial(worker.plainly, candidate.run, folder),
            initializer=partial(worker.prepare, folder),
        )

    def measure(self, groups: Sequence[Sequence[Pair]], rounds: int = 1) -> list[list[Outcome]]:
        """Build samples and run each group's in turns; nothing is recorded."""
        pairs = [pair for group in groups for pair in group]
        schedules = [sampling.decided(task, sample) for task, sample in pairs]
        inputs = [
            ms.builder.BuilderInput(sch.mod, task.target.to_tvm())
            for sch, (task, _) in zip(schedules, pairs, strict=True)
        ]
        built = iter(self.builder.build(inputs))
        found = [[_Running(next(built)) for _ in group] for group in groups]
        for group in found:
            for one in group * rounds:
                one.run(self.runner)
        for one in (one for group in found for one in group):
            one.remove()
        return [[one.outcome for one in group] for group in found]

    def record(self, task: Task, sample: Sample, run_secs: Sequence[float]) -> None:
        """Add a sample's times in seconds to the database; no times if it failed."""
        sch = sampling.decided(task, sample)
        self.database.commit_tuning_record(
            ms.database.TuningRecord(
                trace=sch.trace,
                workload=self.database.commit_workload(sampling.workload(task)),
                run_secs=list(run_secs) or [_FAILED],
                target=task.target.to_tvm(),
                args_info=ms.arg_info.ArgInfo.from_entry_func(sch.mod, remove_preproc=True),
            )
        )


class _Running:
    """A built sample and the times of its runs."""

    def __init__(self, built: Any) -> None:
        self.path = built.artifact_path
        self.outcome = Outcome(error=None if self.path is not None else str(built.error_msg))

    def run(self, runner: Any) -> None:
        """Run once more, unless something went wrong."""
        if self.outcome.error is None:
            (future,) = runner.run([ms.runner.RunnerInput(self.path, "cpu", [])])
            result = future.result()
            if result.error_msg is not None:
                self.outcome.error = str(result.error_msg)
            else:
                self.outcome.runs.append([float(time) for time in result.run_secs])

    def remove(self) -> None:
        """Remove the library."""
        if self.path is not None:
            ms.utils.remove_build_dir(self.path)
