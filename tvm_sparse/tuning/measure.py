"""Build, run and record candidates with MetaSchedule's builder and runner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tvm.s_tir import meta_schedule as ms

from tvm_sparse.targets import native
from tvm_sparse.tuning import candidate, sampling
from tvm_sparse.tuning.task import Sample, Task

_BUILD_SECONDS = 60.0
_RUN_SECONDS = 20.0
_FAILED = 1e10  # seconds; as MetaSchedule records a failure

Pair = tuple[Task, Sample]


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
            f_build=partial(candidate.build, folder),
            f_export=candidate.export,
            initializer=candidate.prepare,
        )
        self.runner = ms.runner.LocalRunner(
            timeout_sec=_RUN_SECONDS,
            evaluator_config=ms.runner.EvaluatorConfig(number=1, repeat=5, min_repeat_ms=10),
            f_alloc_argument=candidate.allocate,
            f_run_evaluator=partial(candidate.run, folder),
            initializer=candidate.prepare,
        )

    def measure(
        self,
        pairs: Iterable[Pair],
        rounds: int = 1,
        progress: Callable[[], None] = lambda: None,
    ) -> list[str | None]:
        """Build samples, run them in turns, and record every run; return their errors."""
        known = list(pairs)
        schedules = [sampling.decided(task, sample) for task, sample in known]
        targets = [task.target.to_tvm() for task, _ in known]
        inputs = [
            ms.builder.BuilderInput(sch.mod, target)
            for sch, target in zip(schedules, targets, strict=True)
        ]
        built = self.builder.build(inputs)
        errors = [None if one.error_msg is None else str(one.error_msg) for one in built]
        for _ in range(rounds):
            for place, ((task, _), sch) in enumerate(zip(known, schedules, strict=True)):
                if errors[place] is None:
                    errors[place] = self._run(task, sch, built[place].artifact_path)
                progress()
        for one in built:
            if one.artifact_path is not None:
                ms.utils.remove_build_dir(one.artifact_path)
        return errors

    def _run(self, task: Task, sch: Any, path: str) -> str | None:
        """Run a library once, record its times, and return what went wrong."""
        info = ms.arg_info.ArgInfo.from_entry_func(sch.mod, remove_preproc=True)
        (future,) = self.runner.run([ms.runner.RunnerInput(path, "cpu", info)])
        result = future.result()
        record = ms.database.TuningRecord(
            trace=sch.trace,
            workload=self.database.commit_workload(sampling.workload(task)),
            run_secs=result.run_secs or [_FAILED],
            target=task.target.to_tvm(),
            args_info=info,
        )
        self.database.commit_tuning_record(record)
        return None if result.error_msg is None else str(result.error_msg)


def warm(model: Any, contexts: Sequence[Any], tasks: Sequence[Task], database: Any) -> None:
    """Teach a cost model what the database knows of the tasks."""
    for context, task in zip(contexts, tasks, strict=True):
        workload = database.commit_workload(context.mod)
        records = database.get_top_k(workload, 1 << 16)
        fitting = [one for one in (r.as_measure_candidate() for r in records)]
        kept = [
            (one, ms.runner.RunnerResult(record.run_secs, None))
            for one, record in zip(fitting, records, strict=True)
            if task.chosen(sampling.sample_of(one.sch)) is not None
        ]
        if kept:
            model.update(context, *map(list, zip(*kept, strict=True)))
