# mypy: ignore-errors
"""How far tuning has come, when it ends, and Ctrl-C."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from tvm_sparse.tuning import failures, folder, sampling
from tvm_sparse.tuning.places.place import is_lost, reason_lost
from tvm_sparse.tuning.records import Measured
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
    failures : dict of str to int
        Why candidates failed, and how many: they crashed, took too long, computed something else.
    """

    stage: str
    done: int
    total: int
    milliseconds: float
    default: float
    failures: Mapping[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Candidates that failed."""
        return sum(self.failures.values())


Tell = Callable[[Progress], None]


class Tally:
    """What was measured so far, and whether to go on.

    Parameters
    ----------
    tasks : list of Task
    trials : int
        Samples a task; fewer if it has fewer.
    seconds : float, optional
        How long to search.
    tell : callable
        Called with the `Progress` whenever something was measured.
    """

    def __init__(self, tasks: list[Task], trials: int, seconds: float | None, tell: Tell) -> None:
        self.tasks = tasks
        self.wanted = {task.identity: task.size(trials) for task in tasks}
        self.tell = tell
        self.ends = None if seconds is None else time.monotonic() + seconds
        self.stopped = False
        self.lost = ""
        self.failures: Counter[str] = Counter()
        self.samples: dict[str, set[str]] = {task.identity: set() for task in tasks}
        self.best: dict[str, float] = {}
        self.default: dict[str, float] = {}

    def know(self, task: Task, measured: Iterable[Measured]) -> None:
        """Note what the database holds of a task, or what was measured just now."""
        name = task.identity
        for one in measured:
            self.samples[name].add(str(one.sample))
            self.best[name] = min(one.seconds, self.best.get(name, one.seconds))
            if one.sample == task.default:
                self.default.setdefault(name, one.seconds)

    def fail(self, message: str | None) -> None:
        """Note what the builder or the runner says of a candidate that failed, if it did.

        Where it could not be run, because boards are lost, the search ends.
        """
        if is_lost(message):
            self.lost, self.stopped = reason_lost(message), True
        elif message is not None:
            self.failures[failures.reason(message)] += 1

    def enough(self, task: Task) -> bool:
        """Whether as many samples of a task were measured as are wanted."""
        return len(self.samples[task.identity]) >= self.wanted[task.identity]

    @property
    def over(self) -> bool:
        """Whether the user stopped the search, or its time is up."""
        return self.stopped or (self.ends is not None and time.monotonic() >= self.ends)

    def show(self, stage: str) -> None:
        """Tell how far tuning has come."""
        weight = {task.identity: 1e3 * len(task.layers) for task in self.tasks}
        done = sum(min(len(self.samples[name]), most) for name, most in self.wanted.items())
        self.tell(
            Progress(
                stage=stage,
                done=done,
                total=sum(self.wanted.values()),
                milliseconds=sum(weight[name] * best for name, best in self.best.items()),
                default=sum(weight[name] * time for name, time in self.default.items()),
                failures=dict(self.failures),
            )
        )


@derived_object
class Watch(ms.measure_callback.PyMeasureCallback):
    """Note every batch that MetaSchedule has measured; end tasks that have enough.

    Parameters
    ----------
    tasks : list of Task
        In the scheduler's order.
    tally : Tally
    database : JSONDatabase
        Takes the records; the search ends once its disk does not.
    """

    def __init__(self, tasks: list[Task], tally: Tally, database) -> None:
        super().__init__()
        self.tasks = tasks
        self.tally = tally
        self.database = database

    def apply(self, scheduler, task_id, candidates, built, results) -> None:
        """Note the results of a batch."""
        task = self.tasks[task_id]
        pairs = zip(candidates, results, strict=True)
        measured = [
            Measured.of(sampling.sample_of(c.sch), r.run_secs)
            for c, r in pairs
            if not is_lost(r.error_msg)
        ]
        for one in results:
            self.tally.fail(one.error_msg)
        self.tally.stopped |= folder.lost(self.database) > 0
        self.tally.know(task, measured)
        self.tally.show(", ".join(task.layers))
        for place, record in enumerate(scheduler.tasks_):
            ended = self.tally.over or self.tally.enough(self.tasks[place])
            if ended and not record.is_terminated:
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
