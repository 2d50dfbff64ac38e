"""Problems of planning that are made by hand."""

from __future__ import annotations

from collections.abc import Sequence

from tvm_sparse.layer import Layer
from tvm_sparse.planning.borders import Border
from tvm_sparse.planning.problem import Option, Problem, Slot
from tvm_sparse.scheme import Scheme

LAYER = Layer(op="conv2d", weight=(32, 32, 3, 3), input=(1, 8, 8), padding=(1, 1, 1, 1))


def option(scheme: str, seconds: float, error: float) -> Option:
    """Return an option of 100 bytes a second."""
    return Option(
        scheme=Scheme.parse(scheme), seconds=seconds, error=error, nbytes=round(100 * seconds)
    )


def problem(
    layers: Sequence[Sequence[tuple[float, float]]],
    rest: float = 0.0,
    borders: Sequence[Border] = (),
) -> Problem:
    """Return a problem of layers with options of (seconds, error), the first one dense.

    With borders every second option is int8.
    """
    slots = [
        Slot(
            names=(f"layer{number}",),
            layer=LAYER,
            options=tuple(
                option(_name(at, 8 if borders and at % 2 else 32), *one)
                for at, one in enumerate(options)
            ),
        )
        for number, options in enumerate(layers)
    ]
    return Problem(slots=tuple(slots), rest=rest, borders=tuple(borders))


def _name(at: int, bits: int) -> str:
    return f"{f'one_by_n-4@{0.5**at}' if at else 'dense@1.0'}/{bits}"
