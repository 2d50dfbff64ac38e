"""Which share of the samples of design spaces are valid: they fit, build, run and compute right."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tvm_sparse.tuning import scratch
from tvm_sparse.tuning.measure import Bench
from tvm_sparse.tuning.places.here import Here
from tvm_sparse.tuning.space import Sample, Space
from tvm_sparse.tuning.task import Task

_TRIES = 200  # drawn for each sample that is wanted, at most
_BATCH = 6  # tasks whose samples are built together


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What became of the samples of one space.

    Parameters
    ----------
    layers : tuple of str
        Of the task.
    space : str
        See `Space.name`.
    drawn : int
        Samples with the odds that a search begins with.
    fitting : int
        Of these, how many stand for a kernel.
    tried : int
        Of these, how many different ones were built; those predicted to be slow are not.
    valid : int
        Of these, how many ran and computed the same as the task's default.
    errors : dict of str to int
        What went wrong, and how often.
    """

    layers: tuple[str, ...]
    space: str
    drawn: int
    fitting: int
    tried: int
    valid: int
    errors: dict[str, int] = field(default_factory=dict)


def survey(
    tasks: Sequence[Task], number: int, seed: int = 0, workers: int | None = None
) -> Iterator[Survey]:
    """Build, run and verify samples of every space of tasks.

    Parameters
    ----------
    tasks : sequence of Task
    number : int
        Samples of each space to build; fewer where it has fewer.
    seed : int
    workers : int, optional
        Processes that build, by default one a core.
    """
    rng = random.Random(seed)
    for first in range(0, len(tasks), _BATCH):
        batch = tasks[first : first + _BATCH]
        here = Here(batch[0].target)
        with scratch.folder() as folder, Bench(folder, list(batch), None, here, workers) as bench:
            yield from _surveyed(bench, batch, number, rng)


def _surveyed(
    bench: Bench, tasks: Sequence[Task], number: int, rng: random.Random
) -> Iterator[Survey]:
    drawn = [
        (task, space, *_draw(task, space, number, rng)) for task in tasks for space in task.spaces
    ]
    defaults = [[(task, task.default)] for task in tasks]  # what outputs are compared with
    groups = [[(task, sample) for sample in kept] for task, _, _, kept in drawn]
    outcomes = bench.measure([*defaults, *groups])[len(tasks) :]
    for (task, space, (tries, fitting), kept), found in zip(drawn, outcomes, strict=True):
        errors = Counter(one.error.strip().splitlines()[-1] for one in found if one.error)
        yield Survey(
            layers=task.layers,
            space=space.name,
            drawn=tries,
            fitting=fitting,
            tried=len(kept),
            valid=len(kept) - errors.total(),
            errors=dict(errors),
        )


def _draw(
    task: Task, space: Space, number: int, rng: random.Random
) -> tuple[tuple[int, int], list[Sample]]:
    """Return how many samples were drawn and how many fit, and those that are worth building."""
    kept: dict[str, Sample] = {}
    fitting = tries = 0
    while len(kept) < number and tries < _TRIES * number:
        point = {d.name: rng.choices(d.values, d.odds)[0] for d in space.decisions}
        sample = Sample(space=space.name, point=point)
        tries += 1
        fitting += space.kernel(point) is not None
        if task.is_promising(sample):
            kept.setdefault(str(sample), sample)
    return (tries, fitting), list(kept.values())
