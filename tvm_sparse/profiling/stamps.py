"""Time each kernel of a network that runs as a whole: when it begins, when it ends.

Noting the time takes time, as much for a short kernel as for a long one. Runs that nobody watches
are taken in turns with the others; what they are shorter by is taken from all kernels alike. Short
networks run several times in each turn, as their users time them.

Whatever disturbs a run makes it longer, so that the faster half of a round tells most of how a
kernel's time is to others': of each kernel's times the lower quartile counts. They add up to the
median of the runs, which is what users of a network see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax

from tvm_sparse.profiling.rounds import Times

Clock = Callable[[], int]
"""Returns nanoseconds."""

_SECONDS = 0.2  # that a round runs, about
_TURN = 2e-3  # that nobody watches in a turn, at least
_TURNS = (3, 100)  # of a round, at least and at most
_NOTING = 2e-6  # seconds that noting one kernel takes at most
_LEFT = 0.25  # share of a kernel's time that noting it cannot have added
_QUARTILE = 0.25


def timed(library: Any, device: Any, arguments: list[Any], now: Clock) -> list[float]:
    """Return the seconds of each kernel, which add up to a run that nobody watches.

    Parameters
    ----------
    library : Module
        A network, compiled for TVM's virtual machine.
    device : Device
    arguments : list of Tensor
    now : callable
    """
    main = relax.VirtualMachine(library, device)["main"]
    machine, stamps = relax.VirtualMachine(library, device), Stamps(now)
    machine.set_instrument(stamps)
    watched = machine["main"]
    for call in (main, watched):
        call(*arguments)
    number, turns = _numbers(min(_seconds(lambda: main(*arguments), 1, now) for _ in range(2)))
    whole, kernels = [], []
    for _ in range(turns):
        whole.append(_seconds(lambda: main(*arguments), number, now))
        stamps.clear()
        watched(*arguments)
        kernels.append(stamps.kernels())
    found = unwatched(np.quantile(kernels, _QUARTILE, axis=0), float(np.median(whole)))
    return [float(seconds) for seconds in found]


def unwatched(kernels: Times, whole: float) -> Times:
    """Return how long kernels take when nobody notes their times.

    Parameters
    ----------
    kernels : array of shape (kernels,)
        Their seconds, all longer by what noting one takes.
    whole : float
        The seconds of a run that nobody watches.
    """
    noting = np.clip((kernels.sum() - whole) / len(kernels), 0.0, _NOTING)
    left = np.maximum(kernels - noting, _LEFT * kernels)
    return np.asarray(left * (whole / left.sum()))


class Stamps:
    """When the calls of a virtual machine began and ended.

    Parameters
    ----------
    now : callable
        A clock.
    """

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._stamps: list[int] = []
        self._names: list[str] = []

    def __call__(self, func: Any, name: str, before: bool, result: Any, *args: Any) -> None:
        """Note the time; TVM's instrument."""
        self._stamps.append(self._now())
        if before:
            self._names.append(name)

    def clear(self) -> None:
        """Begin a new run."""
        self._stamps.clear()
        self._names.clear()

    def kernels(self) -> list[float]:
        """Return the seconds of each call that is none of the machine's own."""
        spans = zip(self._names, self._stamps[::2], self._stamps[1::2], strict=True)
        return [(end - begin) * 1e-9 for name, begin, end in spans if not name.startswith("vm.")]


def _numbers(seconds: float) -> tuple[int, int]:
    """Return how many runs that nobody watches fill a turn, and how many turns a round."""
    number = max(1, int(_TURN / seconds))
    return number, int(np.clip(_SECONDS / (seconds * (number + 1)), *_TURNS))


def _seconds(call: Callable[[], object], number: int, now: Clock) -> float:
    """Return the mean time of calls that follow each other."""
    begin = now()
    for _ in range(number):
        call()
    return (now() - begin) * 1e-9 / number
