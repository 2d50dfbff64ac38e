# mypy: ignore-errors
"""Run candidates again whose board was lost, on another one or when it is back.

A session ends when the kernel crashes, when the board does, and when the network does. If the
tracker knows fewer boards afterwards, it was not the kernel; if a candidate is lost twice and no
board went away, it was. Where no board is left, candidates end as lost: nobody knows about them.
"""

import time

from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from tvm_sparse.errors import DeviceError
from tvm_sparse.rpc import tracker
from tvm_sparse.rpc.address import Address
from tvm_sparse.tuning.places import session
from tvm_sparse.tuning.places.place import is_lost, lost, reason_lost

_PATIENCE = 60.0  # seconds that boards may be away, all of them
_SETTLING = 1.0  # seconds until the tracker knows that a board is gone
_CRASHED = "Subprocess terminated"  # TVM's words, when a worker is gone
_CRASHES = 2  # of a candidate, until it is its fault
_VAIN = 3  # sessions that a candidate does not get, until the boards count as lost


class Fleet:
    """The boards of a key, as far as the tracker knows.

    Parameters
    ----------
    tracker : Address
    key : str
    number : int
        How many there are at first.
    """

    def __init__(self, tracker: Address, key: str, number: int) -> None:
        self.tracker, self.key, self.number = tracker, key, number
        self.gone = ""  # why no more candidates can be run

    def wait(self) -> bool:
        """Wait until there is a board; tell whether there is."""
        ends = time.monotonic() + _PATIENCE
        while not self.gone:
            time.sleep(_SETTLING)
            reason = self._look()
            if not reason:
                return True
            if time.monotonic() >= ends:
                self.gone = reason
        return False

    def _look(self) -> str:
        """Count the boards; return why there are none."""
        try:
            known = {one.key: len(one.addresses) for one in tracker.boards(self.tracker)}
        except DeviceError as error:
            return str(error)
        self.number = known.get(self.key, 0)
        return "" if self.number else f"the tracker {self.tracker} has lost all {self.key!r} boards"


@derived_object
class Retrying(ms.runner.PyRunner):
    """A runner of candidates on boards that may be lost.

    Parameters
    ----------
    remote : RPCRunner
    fleet : Fleet
    """

    def __init__(self, remote, fleet: Fleet) -> None:
        super().__init__()
        self.remote, self.fleet = remote, fleet

    def run(self, runner_inputs):
        """Run candidates, as many at a time as there are boards."""
        return [Retried(self.remote, self.fleet, one) for one in runner_inputs]


@derived_object
class Retried(ms.runner.PyRunnerFuture):
    """The result of a candidate.

    Parameters
    ----------
    remote : RPCRunner
    fleet : Fleet
    candidate : RunnerInput
    """

    def __init__(self, remote, fleet: Fleet, candidate) -> None:
        super().__init__()
        self.remote, self.fleet, self.candidate = remote, fleet, candidate
        self.answer = None
        self._run()

    def _run(self) -> None:
        self.boards = self.fleet.number
        (self.future,) = self.remote.run([self.candidate])

    def done(self) -> bool:
        """Wait for the answer, and tell that it is there.

        RoundRobin, which joins a task as it takes it up again, would go on with one that this ends.
        """
        self.result()
        return True

    def result(self):
        """Return its times, or what went wrong."""
        self.answer = self.answer or self._answer()
        return self.answer

    def _answer(self):
        crashes = vain = 0
        while True:
            found = self.future.result()
            error = reason(found.error_msg)
            if not is_lost(error):
                return ms.runner.RunnerResult(found.run_secs, error)
            begun = not reason_lost(error).startswith(session.NO_SESSION)
            vain += not begun
            if vain >= _VAIN:
                self.fleet.gone = self.fleet.gone or reason_lost(error)
            if not self.fleet.wait():
                return ms.runner.RunnerResult(None, lost(self.fleet.gone))
            crashes += begun and self.fleet.number >= self.boards
            if crashes >= _CRASHES:
                return ms.runner.RunnerResult(None, f"{reason_lost(error)}\n{_CRASHED}")
            self._run()


def reason(message: str | None) -> str | None:
    r"""Return what a worker said at last, without where; lost if it says no more.

    Examples
    --------
    >>> reason("RPCRunner: An exception occurred\nSubprocess terminated")
    'lost: the board did not answer in time'
    >>> reason("Traceback …\ntvm_sparse.errors.DeviceError: lost: no session")
    'lost: no session'
    """
    if message is None:
        return None
    last = message.strip().splitlines()[-1]
    if last == _CRASHED:
        return lost("the board did not answer in time")
    told = last.partition(": ")[2]
    return told if is_lost(told) else last
