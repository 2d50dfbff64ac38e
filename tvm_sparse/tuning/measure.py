"""Build, run and record candidates with MetaSchedule's builder and runner."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from tvm.s_tir import meta_schedule as ms
from tvm.support.popen_pool import PopenPoolExecutor

from tvm_sparse.targets import native
from tvm_sparse.tuning import candidate, sampling, worker
from tvm_sparse.tuning.builder import Builder
from tvm_sparse.tuning.places.place import Outcome, Place
from tvm_sparse.tuning.records import FAILED
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.task import Task

_BUILD_SECONDS = 60.0
_USES = 64  # candidates that a process builds: TVM does not free all of their memory

Pair = tuple[Task, Sample]


class Bench:
    """Where candidates are built and run: worker processes, and a folder that they share.

    The processes that build end when it is left.

    Parameters
    ----------
    folder : Path
        Empty; holds what the workers need for as long as they run.
    tasks : list of Task
    database : Database
        Takes the records.
    place : Place
        Where candidates run.
    workers : int, optional
        Processes that build; by default one a core.
    """

    def __init__(
        self,
        folder: Path,
        tasks: list[Task],
        database: Any,
        place: Place,
        workers: int | None = None,
    ) -> None:
        candidate.begin(folder, tasks)
        self.database = database
        self.place = place
        self._pool = PopenPoolExecutor(
            max_workers=workers or native.cores(),
            timeout=_BUILD_SECONDS,
            initializer=partial(worker.prepare, folder),
            maximum_process_uses=_USES,
        )
        build = partial(worker.plainly, candidate.build, folder)
        self.builder: Any = Builder(self._pool, _BUILD_SECONDS, build, place.export)
        self.runner = place.runner(folder)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """End the processes that build."""
        self._pool.shutdown()

    def measure(self, groups: Sequence[Sequence[Pair]], rounds: int = 1) -> list[list[Outcome]]:
        """Build samples and run each group's in turns; nothing is recorded."""
        pairs = [pair for group in groups for pair in group]
        schedules = [sampling.decided(task, sample) for task, sample in pairs]
        inputs = [
            ms.builder.BuilderInput(sch.mod, task.target.to_tvm())
            for sch, (task, _) in zip(schedules, pairs, strict=True)
        ]
        results = iter(self.builder.build(inputs))
        built = [[next(results) for _ in group] for group in groups]
        paths = [[str(one.artifact_path) for one in group if _is_built(one)] for group in built]
        ran = self.place.compare(self.runner, paths, rounds)
        for path in (path for group in paths for path in group):
            ms.utils.remove_build_dir(path)
        return [_outcomes(group, found) for group, found in zip(built, ran, strict=True)]

    def record(self, task: Task, sample: Sample, run_secs: Sequence[float]) -> None:
        """Add a sample's times in seconds to the database; no times if it failed."""
        sch = sampling.decided(task, sample)
        self.database.commit_tuning_record(
            ms.database.TuningRecord(
                trace=sch.trace,
                workload=self.database.commit_workload(sampling.workload(task)),
                run_secs=list(run_secs) or [FAILED],
                target=task.target.to_tvm(),
                args_info=ms.arg_info.ArgInfo.from_entry_func(sch.mod, remove_preproc=True),
            )
        )


def _is_built(result: Any) -> bool:
    return result.artifact_path is not None


def _outcomes(built: Sequence[Any], ran: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of a group: of those that could not be built, why."""
    found = iter(ran)
    return [next(found) if _is_built(one) else Outcome(error=str(one.error_msg)) for one in built]
