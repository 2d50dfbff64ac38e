"""MetaSchedule's cost model, taught by whatever a database knows.

Times are learnt relative to the fastest of their layer, and features tell about the layer and its
non-zeros, so that what holds for some layers serves the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import tvm
from tvm.s_tir import meta_schedule as ms

from tvm_sparse import compat
from tvm_sparse.targets import Target
from tvm_sparse.tuning import features, sampling
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.subject import Subject
from tvm_sparse.tuning.task import Task

_WARM_UP = 32  # candidates until the model is asked


@dataclass(kw_only=True)
class Known:
    """What was measured of one workload.

    Parameters
    ----------
    mod : IRModule
        The workload, see `tvm_sparse.tuning.sampling.workload`.
    subject : Subject
    candidates : list of MeasureCandidate
        Those that still stand for a kernel.
    results : list of RunnerResult
        Of the candidates, in order.
    """

    mod: tvm.IRModule
    subject: Subject
    candidates: list[Any] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)


def model(target: Target) -> ms.cost_model.XGBModel:
    """Return an empty cost model of a target's kernels."""
    return ms.cost_model.XGBModel(
        extractor=features.KernelFeatures(target),
        num_warmup_samples=_WARM_UP,
        num_tuning_cores=1,
    )


def known(database: ms.database.Database, target: Target) -> list[Known]:
    """Return a database's measurements by their workloads."""
    found: dict[str, Known] = {}
    for record in database.get_all_tuning_records():
        mod = record.workload.mod
        name = str(mod["main"].attrs[sampling.SUBJECT])
        if name not in found:
            found[name] = Known(mod=mod, subject=sampling.subject_of(mod, target))
        candidate = record.as_measure_candidate()
        if found[name].subject.kernel(sampling.sample_of(candidate.sch)) is not None:
            found[name].candidates.append(candidate)
            found[name].results.append(ms.runner.RunnerResult(record.run_secs, None))
    return list(found.values())


def learn(model: ms.cost_model.XGBModel, groups: Iterable[Known]) -> None:
    """Teach a cost model what was measured, of whichever layers."""
    for group in groups:
        model.update(context(group), group.candidates, group.results)


def candidate(task: Task, sample: Sample) -> ms.MeasureCandidate:
    """Return a sample as MetaSchedule measures it."""
    sch = sampling.decided(task, sample)
    return ms.MeasureCandidate(sch, ms.arg_info.ArgInfo.from_entry_func(sch.mod, True))


def context(group: Known) -> ms.TuneContext:
    """Return what a cost model asks of a workload's context."""
    with compat.without_tensor_intrinsics():
        return ms.TuneContext(group.mod)
