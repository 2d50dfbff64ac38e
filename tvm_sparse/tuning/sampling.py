# mypy: ignore-errors
"""A task in MetaSchedule's terms: a workload, its design spaces, and what mutates a sample.

The workload stands for the layer. A trace decides and writes the decisions down; it rewrites no
loop, because the kernel is made from the decisions (`tvm_sparse.tuning.candidate`)::

    v = sch.sample_categorical([402, 403, 806], probs=[…])
    sch.annotate(product, "registers", v)
"""

import random
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Literal

import tvm
from tvm import s_tir
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms
from tvm.script import tirx as T

from tvm_sparse import compat
from tvm_sparse.targets import Target
from tvm_sparse.tuning import lines, subject
from tvm_sparse.tuning.space import Sample, Space
from tvm_sparse.tuning.subject import Subject
from tvm_sparse.tuning.task import Task

Strategy = Literal["evolutionary", "random"]

TASK = lines.IDENTITY
_SPACE = lines.SPACE
SUBJECT = "tvm_sparse.subject"
_POPULATION = 128


def workload(task: Task) -> tvm.IRModule:
    """Return the module that records are filed under.

    It states the task's identity, the layer and its spaces, and as many multiply-adds as the best
    kernel is predicted for.
    """
    taps = max(task.spaces[0].work.taps, 1)
    return _workload(task.identity, subject.write(task), task.layer.positions, taps)


@cache
def _workload(identity: str, about: str, positions: int, taps: int) -> tvm.IRModule:
    positions, taps = T.int64(positions), T.int64(taps)

    @T.prim_func(s_tir=True)
    def main(
        X: T.Buffer((positions, taps), "float32"),
        values: T.Buffer((taps,), "float32"),
        Y: T.Buffer((positions,), "float32"),
    ):
        T.func_attr({"tirx.noalias": True, TASK: identity, SUBJECT: about})
        for i, k in T.grid(positions, taps):
            with T.sblock("product"):
                vi, vk = T.axis.remap("SR", [i, k])
                with T.init():
                    Y[vi] = T.float32(0)
                Y[vi] = Y[vi] + values[vk] * X[vi, vk]

    return tvm.IRModule({"main": main})


def identity_of(mod: tvm.IRModule) -> str:
    """Return the identity that a workload, or a sample of it, states."""
    return str(mod["main"].attrs[TASK])


def subject_of(mod: tvm.IRModule, target: Target) -> Subject:
    """Return the layer and the spaces that a workload states."""
    return subject.read(str(mod["main"].attrs[SUBJECT]), target)


def sample_of(sch: s_tir.Schedule) -> Sample:
    """Return the decisions that a schedule of a workload has written down."""
    annotations = dict(sch.get(sch.get_sblock("product")).annotations.items())
    space = str(annotations.pop(_SPACE))
    return Sample(space=space, point={str(k): int(v) for k, v in annotations.items()})


def generator(tasks: Sequence[Task], seed: int) -> ms.space_generator.ScheduleFn:
    """Return the design spaces, and mutators, of the workloads of tasks."""
    known = {task.identity: task for task in tasks}

    def spaces(sch: s_tir.Schedule) -> list[s_tir.Schedule]:
        task = known[identity_of(sch.mod)]
        return [_sampled(sch.copy(), space) for space in task.spaces]

    return ms.space_generator.ScheduleFn(
        spaces,
        sch_rules=[],
        postprocs=[Fitting(known)],
        mutator_probs={Redecide(seed): 1.0},
    )


def context(task: Task, seed: int, strategy: Strategy = "evolutionary") -> ms.TuneContext:
    """Return what MetaSchedule needs to tune a task: workload, spaces, mutators, search."""
    search = {
        "evolutionary": partial(ms.search_strategy.EvolutionarySearch, population_size=_POPULATION),
        "random": ms.search_strategy.ReplayTrace,
    }
    with compat.without_tensor_intrinsics():
        return ms.TuneContext(
            workload(task),
            target=task.target.to_tvm(),
            space_generator=generator([task], seed),
            search_strategy=search[strategy](),
            task_name=", ".join(task.layers),
            rand_state=seed,
            num_threads=1,
        )


def decided(task: Task, sample: Sample) -> s_tir.Schedule:
    """Return the schedule whose trace makes a sample's decisions."""
    sch = s_tir.Schedule(workload(task), seed=1)
    return _sampled(sch, task.space(sample.space), sample.point)


def _sampled(sch: s_tir.Schedule, space: Space, point=None) -> s_tir.Schedule:
    block = sch.get_sblock("product")
    sch.annotate(block, _SPACE, space.name)
    for decision in space.decisions:
        place = None if point is None else decision.values.index(point[decision.name])
        value = sch.sample_categorical(decision.values, decision.odds, place)
        sch.annotate(block, decision.name, value)
    return sch


@derived_object
class Fitting(ms.postproc.PyPostproc):
    """Refuse, before anything is built, what does not fit together or is predicted to be slow."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        super().__init__()
        self.tasks = tasks

    def _initialize_with_tune_context(self, context) -> None:
        pass

    def apply(self, sch: s_tir.Schedule) -> bool:
        """Whether the sample stands for a kernel that is worth measuring."""
        return self.tasks[identity_of(sch.mod)].is_promising(sample_of(sch))

    def clone(self):
        """Return a copy."""
        return Fitting(self.tasks)


@derived_object
class Redecide(ms.mutator.PyMutator):
    """Make one decision anew: a neighbouring value, or any other with the formula's odds."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = random.Random(seed)

    def _initialize_with_tune_context(self, context) -> None:
        pass

    def apply(self, trace: s_tir.schedule.Trace, _):
        """Return the mutated trace; None if there is nothing to decide."""
        open_ = [i for i in trace.decisions if len(i.attrs[0]) > 1]
        if not open_:
            return None
        decision = self.random.choice(open_)
        place, odds = int(trace.decisions[decision]), [float(odd) for odd in decision.attrs[1]]
        others = [other for other in range(len(odds)) if other != place]
        near = [other for other in others if abs(other - place) == 1]
        if self.random.random() < 0.5:
            new = self.random.choice(near)
        else:
            (new,) = self.random.choices(others, [odds[other] for other in others])
        return trace.with_decision(decision, new, remove_postproc=True)

    def clone(self):
        """Return one that mutates otherwise."""
        return Redecide(self.random.randrange(1 << 30))
