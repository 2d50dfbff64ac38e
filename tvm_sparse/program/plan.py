"""What a static program does: kernels called in order, on tensors that lie at fixed places.

Places are found by the greedy algorithm for tensors by size of Pisarchyk and Lee, "Efficient Memory
Management for Deep Neural Net Inference" (2020): the largest tensor first, each at the lowest place
where no tensor lies that is alive at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

ALIGNMENT = 64  # bytes; TVM's kernels ask for it


@dataclass(frozen=True, kw_only=True, eq=False)
class Tensor:
    """A tensor of fixed shape.

    Parameters
    ----------
    shape : tuple of int
    dtype : str
    value : array, optional
        Of a constant.
    base : Tensor, optional
        The tensor whose memory this one is a view of.
    """

    shape: tuple[int, ...]
    dtype: str
    value: Array | None = None
    base: Tensor | None = None

    @property
    def home(self) -> Tensor:
        """The tensor that owns the memory."""
        return self if self.base is None else self.base.home

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of a kernel; its last tensor is written.

    Parameters
    ----------
    kernel : str
    tensors : tuple of Tensor
    """

    kernel: str
    tensors: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A program.

    Parameters
    ----------
    calls : tuple of Call
        In the order of execution.
    inputs, outputs : tuple of Tensor
    """

    calls: tuple[Call, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors, once."""
        ends = [*self.inputs, *self.outputs]
        return list(dict.fromkeys([*ends, *(t for call in self.calls for t in call.tensors)]))


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where tensors lie.

    Parameters
    ----------
    offsets : dict of Tensor to int
        In bytes, of tensors that own their memory: within the constants, or else the memory.
    memory, constants : int
        Bytes in all.
    """

    offsets: dict[Tensor, int]
    memory: int
    constants: int


def place(plan: Plan) -> Places:
    """Give every tensor its place.

    Inputs and outputs keep their places to themselves, so that a program can run again.
    """
    homes = list(dict.fromkeys(tensor.home for tensor in plan.tensors))
    constants, size = _in_row(home for home in homes if home.value is not None)
    lives = _lives(plan)
    memory: dict[Tensor, int] = {}
    moving = [home for home in homes if home.value is None]
    for home in sorted(moving, key=lambda one: -one.nbytes):
        memory[home] = _lowest(home, memory, lives)
    most = max((offset + _padded(home) for home, offset in memory.items()), default=0)
    return Places(offsets={**constants, **memory}, memory=most, constants=size)


def _in_row(tensors: Iterable[Tensor]) -> tuple[dict[Tensor, int], int]:
    """Return places one behind the other, and where they end."""
    offsets, end = {}, 0
    for tensor in tensors:
        offsets[tensor] = end
        end += _padded(tensor)
    return offsets, end


def _lives(plan: Plan) -> dict[Tensor, tuple[int, int]]:
    """Return for each tensor the first and the last call that need it."""
    lives: dict[Tensor, tuple[int, int]] = {}
    for step, call in enumerate(plan.calls):
        for tensor in call.tensors:
            first, _ = lives.get(tensor.home, (step, step))
            lives[tensor.home] = (first, step)
    always = (-1, len(plan.calls))
    return {**lives, **{end.home: always for end in (*plan.inputs, *plan.outputs)}}


def _lowest(tensor: Tensor, placed: dict[Tensor, int], lives: dict[Tensor, tuple[int, int]]) -> int:
    """Return the lowest place that is free for as long as a tensor lives."""
    first, last = lives[tensor]
    met = [one for one in placed if lives[one][0] <= last and first <= lives[one][1]]
    lowest = 0
    for offset, end in sorted((placed[one], placed[one] + _padded(one)) for one in met):
        if offset - lowest >= _padded(tensor):
            break
        lowest = max(lowest, end)
    return lowest


def _padded(tensor: Tensor) -> int:
    return -(-max(tensor.nbytes, 1) // ALIGNMENT) * ALIGNMENT
