"""Find faster kernels for a model's layers by measuring them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import numpy as np
from tvm.s_tir import meta_schedule as ms

from tvm_sparse import targets
from tvm_sparse.errors import DatabaseError, DeviceError
from tvm_sparse.frontend import import_model
from tvm_sparse.targets import Target
from tvm_sparse.tuning import failures, folder, learning, records, sampling, scratch
from tvm_sparse.tuning.extract import extract
from tvm_sparse.tuning.measure import Bench
from tvm_sparse.tuning.places.find import Runner, find
from tvm_sparse.tuning.places.here import Here
from tvm_sparse.tuning.places.place import Place, is_lost
from tvm_sparse.tuning.progress import Progress, Tally, Watch, stopping_gently
from tvm_sparse.tuning.recording import AddRecords
from tvm_sparse.tuning.records import Measured
from tvm_sparse.tuning.sampling import Strategy
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.task import Task

_BATCH = 16  # candidates between two trainings of the cost model
_FINAL = 3  # samples of a task that are measured again, beside the default


def tune(
    model: Any,
    target: Any = "x86",
    *,
    example_inputs: Any = None,
    masks: Mapping[str, Any] | None = None,
    trials: int = 64,
    time: float | None = None,
    database: str | Path | None = None,
    tracker: str | None = None,
    key: str | None = None,
    runner: Runner | None = None,
    host: str | None = None,
    cpus: Sequence[int] = (),
    workers: int | None = None,
    seed: int = 1,
    strategy: Strategy = "evolutionary",
    progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Measure kernels for the layers of a model, and record how long they take.

    Layers of one kind are tuned once. The kernels that `build` would choose are measured first;
    what is found is used only if it stays faster than these when both are measured again in turns.

    Parameters
    ----------
    model, target, example_inputs, masks
        As `tvm_sparse.build` takes them. The target must be this machine, or that of the boards.
    trials : int
        Kernels to measure for each kind of layer; those in the database count.
    time : float, optional
        Seconds to search at most.
    database : path, optional
        A folder, made when missing; by default ``tuning_logs/<target>``. What it holds is kept:
        a search that was stopped goes on where it was.
    tracker, key : str, optional
        ``HOST:PORT`` of TVM's RPC tracker, and what the boards that ``tvm-sparse serve`` offers are
        called: kernels are built here and run there, as many at a time as there are boards. Boards
        may be lost and come back.
    runner, host, cpus : optional
        A machine without TVM: ``"ssh"`` and e.g. ``pi@192.168.1.20``, or ``"adb"`` and, if there
        are several phones, a serial number; CPUs that threads are pinned to, e.g. ``(4, 5, 6, 7)``.
        ``"cycles"``, where no board is at hand: kernels are ranked by the cycles that are modelled
        for the target's core; `tvm_sparse.cycles` says what the model leaves out.
    workers : int, optional
        Processes that compile, by default one a core.
    seed : int
        From 1; of all random decisions.
    strategy : {"evolutionary", "random"}
        Mutate what the cost model likes, or draw kernels with the odds that the cost formula gives.
    progress : callable, optional
        Called with a `Progress` whenever something was measured.

    Returns
    -------
    Path
        The database, for ``build(database=…)``. Ctrl-C ends the search and returns it too; a second
        one raises ``KeyboardInterrupt`` at once.

    Raises
    ------
    ModelError
        If the model cannot be imported.
    TargetError
        If the target is unknown, or not this machine.
    DeviceError
        If there is no tracker or no such board, the board cannot run code for the target, or all
        boards were lost; what was measured before is kept.
    DatabaseError
        If the database cannot be written, is being written by another process, or holds records of
        another machine or version; if the strategy is unknown, packages for tuning are missing,
        or nothing could be run.
    """
    if strategy not in get_args(Strategy):
        raise DatabaseError(f"unknown strategy {strategy!r}: take one of {get_args(Strategy)}")
    _demand_packages()
    place = find(target, tracker, key, runner, host, cpus)
    profile = place.target
    tasks = extract(import_model(model, example_inputs, masks), profile)
    path = Path(database) if database is not None else Path("tuning_logs") / profile.name
    tell = progress or (lambda state: None)
    tune_tasks(tasks, profile, path, trials, time, workers, seed, strategy, tell, place)
    return path


def tune_tasks(
    tasks: list[Task],
    target: Target,
    path: Path,
    trials: int = 64,
    time: float | None = None,
    workers: int | None = None,
    seed: int = 1,
    strategy: Strategy = "evolutionary",
    tell: Callable[[Progress], None] = lambda state: None,
    place: Place | None = None,
) -> None:
    """Measure kernels for tasks, by default on this machine; other parameters as `tune`.

    Raises
    ------
    DeviceError
        If the place where candidates run is lost; what was measured before is kept.
    """
    place = place or Here(target)
    with folder.writing(path, target, place.origin) as opened:
        known = records.by_task(opened)
        tally = Tally(tasks, trials, time, tell)
        for task in tasks:
            tally.know(task, known.get(task.identity, []))
        tally.show("looking at the database")
        open_ = [t for t in tasks if not tally.enough(t) or _finalists(t, known[t.identity])]
        if open_:
            with (
                scratch.folder() as shared,
                stopping_gently(tally),
                Bench(shared, open_, opened, place, workers) as bench,
            ):
                sound = measure_defaults(bench, open_, tally)
                folder.check(opened)
                open_ = [task for task in sound if not tally.enough(task)]
                _search(bench, open_, tally, seed, strategy)
                folder.check(opened)
                confirm(bench, sound, tally)
                if tally.lost:
                    raise DeviceError(f"{tally.lost}; what was measured is kept: tune again")


def measure_defaults(bench: Bench, tasks: list[Task], tally: Tally) -> list[Task]:
    """Measure what the cost formula chose; return the tasks for which that worked.

    The output of these kernels is what others are compared with.
    """
    tally.show("measuring the default kernels")
    outcomes = [one for (one,) in bench.measure([[(task, task.default)] for task in tasks])]
    sound = [task for task, one in zip(tasks, outcomes, strict=True) if one.error is None]
    for one in outcomes:
        tally.fail(one.error)
    if not sound and not tally.lost:
        reason = failures.reason(str(outcomes[0].error))
        raise DatabaseError(f"none of the layers' own kernels could be built and run: {reason}")
    for task, one in zip(tasks, outcomes, strict=True):
        if not is_lost(one.error):
            bench.record(task, task.default, one.runs[0] if one.runs else [])
    known = records.by_task(bench.database)
    for task in sound:
        tally.know(task, known[task.identity])
    tally.show("measured the default kernels")
    return sound


def _search(bench: Bench, tasks: list[Task], tally: Tally, seed: int, strategy: Strategy) -> None:
    """Let MetaSchedule search until every task has enough samples."""
    if not tasks or tally.over:
        return
    contexts = [sampling.context(task, seed + i, strategy) for i, task in enumerate(tasks)]
    model = learning.model(tasks[0].target)
    learning.learn(model, learning.known(bench.database, tasks[0].target))
    most = max(tally.wanted.values())
    ms.task_scheduler.RoundRobin().tune(
        contexts,
        task_weights=[1.0] * len(tasks),
        max_trials_global=1 << 30,  # tasks end one by one
        max_trials_per_task=most,
        num_trials_per_iter=min(_BATCH, most),
        builder=bench.builder,
        runner=bench.runner,
        measure_callbacks=[
            AddRecords(bench.database),
            ms.measure_callback.UpdateCostModel(),
            ms.measure_callback.RemoveBuildArtifact(),
            Watch(tasks, tally, bench.database),
        ],
        database=bench.database,
        cost_model=model,
    )


def confirm(bench: Bench, tasks: list[Task], tally: Tally) -> None:
    """Measure the fastest samples of each task again, in turns with the default."""
    if tally.lost:
        return
    known = records.by_task(bench.database)
    groups = [
        [(task, sample) for sample in (task.default, *finalists)]
        for task in tasks
        if (finalists := _finalists(task, known[task.identity]))
    ]
    if not groups:
        return
    tally.show("comparing the best with the default kernels")
    for group, outcomes in zip(groups, bench.measure(groups, records.ROUNDS), strict=True):
        times = [[float(np.median(run)) for run in one.runs] for one in outcomes]
        for (task, sample), one, mine in zip(group, outcomes, times, strict=True):
            if is_lost(one.error):
                tally.fail(one.error)
            elif outcomes[0].error is None:
                fair = [] if one.error is not None else records.relative(mine, times[0])
                bench.record(task, sample, fair)


def _finalists(task: Task, measured: list[Measured]) -> list[Sample]:
    """Return the fastest samples, if one of them is still to be compared with the default."""
    sound = (one for one in measured if one.seconds < float("inf") and one.sample != task.default)
    first = [one for one in sound if task.chosen(one.sample) is not None][:_FINAL]
    return [one.sample for one in first] if any(not one.compared for one in first) else []


def this_machine(target: Any) -> Target:
    """Return the profile of a target that kernels can be measured for.

    Raises
    ------
    TargetError
        If the target is unknown, or not this machine.
    DatabaseError
        If packages for tuning are missing.
    """
    _demand_packages()
    return targets.load_here(target)


def _demand_packages() -> None:
    lacking = [name for name in ("xgboost", "cloudpickle", "psutil") if find_spec(name) is None]
    if lacking:
        raise DatabaseError(
            f"tuning needs {', '.join(lacking)}: pip install 'tvm-sparse[tune]', or "
            f"pip install {' '.join(n.replace('xgboost', 'xgboost-cpu') for n in lacking)}"
        )
