"""Build, run and record candidates with MetaSchedule's builder and runner."""

from __future__ import annotations

from collections.abc import Sequence
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

    def measure(self, groups: Sequence[Sequence[Pair]], rounds: int = 1) -> list[str | None]:
        """Build samples, run each group's in turns, and record every run.

        Returns
        -------
        list of str or None
            What went wrong with each sample, groups one after another.
        """
        pairs = [pair for group in groups for pair in group]
        schedules = [sampling.decided(task, sample) for task, sample in pairs]
        inputs = [
            ms.builder.BuilderInput(sch.mod, task.target.to_tvm())
            for sch, (task, _) in zip(schedules, pairs, strict=True)
        ]
        built = self.builder.build(inputs)
        errors = [None if one.error_msg is None else str(one.error_msg) for one in built]
        begin = 0
        for group in groups:
            for place in [*range(begin, begin + len(group))] * rounds:
                if errors[place] is None:
                    path = built[place].artifact_path
                    errors[place] = self._run(pairs[place][0], schedules[place], path)
            begin += len(group)
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
        known = [(record.as_measure_candidate(), record.run_secs) for record in records]
        kept = [pair for pair in known if task.chosen(sampling.sample_of(pair[0].sch)) is not None]
        results = [ms.runner.RunnerResult(run_secs, None) for _, run_secs in kept]
        model.update(context, [candidate for candidate, _ in kept], results)
