"""Time a kernel whose weights are not in the caches.

A network's weights exceed the caches, so that a layer finds its own there only when it runs alone,
again and again. Here every run takes another copy of them; input and output stay, which a network
has written just before. It matters where a weight is read once: a linear layer of one row took a
third of its time in the network when its weights stayed, and the same time when they did not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_FAR = 48 << 20  # bytes of weights between two runs of one copy: more than caches hold
_COPIES = 64


def copies(constants: Sequence[Array]) -> int:
    """Return how many copies of a kernel's constants push each other out of the caches."""
    nbytes = sum(array.nbytes for array in constants)
    return min(max(math.ceil(_FAR / max(nbytes, 1)), 1), _COPIES)


def seconds(
    call: Callable[..., object],
    arguments: Sequence[Sequence[Any]],
    repeat: int,
    least: float,
    finish: Callable[[], object] = lambda: None,
) -> list[float]:
    """Return the mean time of a call in each repetition.

    Parameters
    ----------
    call : callable
    arguments : sequence of sequences
        What the runs take in turns.
    repeat : int
    least : float
        Seconds that a repetition takes at least.
    finish : callable
        Waits for what calls have begun: on GPUs.
    """
    turn = _turns(call, arguments, finish)
    number = max(1, math.ceil(least / max(turn(1), 1e-7)))
    return [turn(number) for _ in range(repeat)]


def _turns(
    call: Callable[..., object],
    arguments: Sequence[Sequence[Any]],
    finish: Callable[[], object],
) -> Callable[[int], float]:
    """Return what runs a call a number of times, and tells the mean time."""
    place = 0

    def turn(number: int) -> float:
        nonlocal place
        chosen = [arguments[(place + run) % len(arguments)] for run in range(number)]
        place += number
        begin = time.perf_counter()
        for one in chosen:
            call(*one)
        finish()
        return float(np.divide(time.perf_counter() - begin, number))

    return turn
