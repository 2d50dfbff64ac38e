from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from support import tuning
from tvm_sparse.tuning.progress import Progress, Tally, stopping_gently
from tvm_sparse.tuning.records import Measured

TASK = tuning.task()


def tally(trials: int = 3, seconds: float | None = None) -> tuple[Tally, list[Progress]]:
    told: list[Progress] = []
    return Tally([TASK], trials, seconds, told.append), told


def test_progress_counts_samples_once_and_adds_up_the_best_times() -> None:
    counted, told = tally()
    first, second = tuning.samples(TASK, 2)
    default = Measured(sample=TASK.default, times=[2e-3])
    counted.know(TASK, [default, Measured(sample=first, times=[3e-3])])
    assert not counted.enough(TASK)
    counted.know(TASK, [Measured(sample=first, times=[1e-3]), Measured(sample=second, failures=1)])
    assert counted.enough(TASK)
    counted.show("here")
    assert (told[-1].done, told[-1].total, told[-1].stage) == (3, 3, "here")
    assert told[-1].milliseconds == pytest.approx(1.0)
    assert told[-1].default == pytest.approx(2.0)


def test_a_task_wants_no_more_samples_than_it_has() -> None:
    small = tuning.task(tuning.MATRIX)
    assert small.size(1000) < 30
    wanted = Tally([small], 1000, None, lambda state: None).wanted
    assert wanted == {small.identity: small.size(1000)}


def test_the_time_to_search_may_be_limited() -> None:
    assert not tally(seconds=1000)[0].over
    assert tally(seconds=0)[0].over


@pytest.fixture
def listening() -> Iterator[None]:
    """Ctrl-C raises, also where this process was started in the background, with it ignored."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.usefixtures("listening")
def test_the_first_interrupt_ends_the_search_and_the_second_everything() -> None:
    counted, told = tally()
    with pytest.raises(KeyboardInterrupt):
        with stopping_gently(counted):
            signal.raise_signal(signal.SIGINT)
            assert counted.over
            assert told[-1].stage == "stopping; Ctrl-C again to stop now"
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
