# mypy: ignore-errors
"""How far tuning has come, when it ends, and Ctrl-C."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from tvm_sparse.tuning.task import Task


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far tuning has come.

    Parameters
    ----------
    stage : str
        What runs now.
    done, total : int
        Candidates measured, and how many are wanted.
    milliseconds : float
        The best times found of all tuned layers, added up.
    default : float
        The same with the kernels that the cost formula chose.
    failed : int
        Candidates that could not be built, ran too long, or computed something else.
    """

    stage: str
    done: int
    total: int
    milliseconds: float
    default: float
    failed: int = 0


Tell = Callable[[Progress], None]


class Tally:
    """What was measured so far, and whether to go on.

    Parameters
    ----------
    tasks : list of Task
    wanted : int
        Samples a task.
    seconds : float, optional
        How long to search.
    tell : callable
        Called with the `Progress` whenever something was measured.
    """

    def __init__(self, tasks: list[Task], wanted: int, seconds: float | None, tell: Tell) -> None:
        self.tasks = tasks
        self.wanted = wanted
        self.tell = tell
        self.ends = None if seconds is None else time.monotonic() + seconds
        self.stopped = False
        self.failed = 0
        self.measured = {task.identity: 0 for task in tasks}
        self.best: dict[str, float] = {}
        self.default: dict[str, float] = {}

    @property
    def over(self) -> bool:
        """Whether the user stopped the search, or its time is up."""
        return self.stopped or (self.ends is not None and time.monotonic() >= self.ends)

    def enough(self, task: Task) -> bool:
        """Whether no more samples of a task are wanted."""
        return self.over or self.measured[task.identity] >= self.wanted

    def show(self, stage: str) -> None:
        """Tell how far tuning has come."""
        weight = {task.identity: 1e3 * len(task.layers) for task in self.tasks}
        self.tell(
            Progress(
                stage=stage,
                done=sum(min(n, self.wanted) for n in self.measured.values()),
                total=self.wanted * len(self.tasks),
                milliseconds=sum(weight[name] * best for name, best in self.best.items()),
                default=sum(weight[name] * time for name, time in self.default.items()),
                failed=self.failed,
            )
        )

    def know(self, task: Task, seconds: float, samples: int = 1, default: bool = False) -> None:
        """Note the shortest time of some samples of a task."""
        name = task.identity
        self.measured[name] += samples
        self.best[name] = min(seconds, self.best.get(name, seconds))
        if default:
            self.default[name] = seconds


@derived_object
class Watch(ms.measure_callback.PyMeasureCallback):
    """Tell about every batch that MetaSchedule has measured; end tasks that have enough.

    Parameters
    ----------
    tasks : list of Task
        In the scheduler's order.
    tally : Tally
    """

    def __init__(self, tasks: list[Task], tally: Tally) -> None:
        super().__init__()
        self.tasks = tasks
        self.tally = tally

    def apply(self, scheduler, task_id, candidates, built, results) -> None:
        """Note the results of a batch."""
        task = self.tasks[task_id]
        times = [sum(map(float, r.run_secs)) / len(r.run_secs) for r in results if r.run_secs]
        self.tally.failed += len(results) - len(times)
        self.tally.know(task, min(times, default=float("inf")), len(results))
        self.tally.show(", ".join(task.layers))
        for place, record in enumerate(scheduler.tasks_):
            if self.tally.enough(self.tasks[place]) and not record.is_terminated:
                scheduler.terminate_task(place)


@contextmanager
def stopping_gently(tally: Tally) -> Iterator[None]:
    """Let the first Ctrl-C end the search after the running batch, the second at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.getsignal(signal.SIGINT)

    def stop(number, frame) -> None:
        tally.stopped = True
        tally.show("stopping; Ctrl-C again to stop now")
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
