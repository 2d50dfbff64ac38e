"""What a database's records say: how long each sample takes, and which to use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tvm.s_tir import Schedule
from tvm.s_tir.meta_schedule.database import Database, TuningRecord

from tvm_sparse.tuning import sampling
from tvm_sparse.tuning.task import Sample

_FAILED = 1e9  # seconds; MetaSchedule records a failure as a longer time
_GAIN = 0.98  # share of the default's time that a sample must stay below to replace it
_TWICE = 2  # measurements that a sample needs to be believed


@dataclass(kw_only=True)
class Measured:
    """The records of one sample.

    Parameters
    ----------
    sample : Sample
    times : list of float
        The median of each measurement, in seconds.
    failures : int
    """

    sample: Sample
    times: list[float] = field(default_factory=list)
    failures: int = 0

    @classmethod
    def of(cls, sample: Sample, run_secs: Any) -> Measured:
        """Return one measurement of a sample; without times, a failure."""
        one = cls(sample=sample)
        one.add(run_secs or [float("inf")])
        return one

    def add(self, run_secs: Any) -> None:
        """Add the times of one measurement, in seconds."""
        seconds = float(np.median([float(time) for time in run_secs]))
        if seconds < _FAILED:
            self.times.append(seconds)
        else:
            self.failures += 1

    @property
    def seconds(self) -> float:
        """The lower quartile of its measurements; infinite if one failed, or there is none.

        What disturbs a measurement makes it longer, and may last for several of them.
        """
        if self.failures or not self.times:
            return float("inf")
        return float(np.quantile(self.times, 0.25))

    @property
    def confirmed(self) -> bool:
        """Whether it was measured more than once."""
        return len(self.times) >= _TWICE


def by_task(database: Database) -> dict[str, list[Measured]]:
    """Return what was measured for each task, by its identity, the fastest sample first."""
    found: dict[str, dict[str, Measured]] = {}
    for record in database.get_all_tuning_records():
        sample = recorded(record)
        samples = found.setdefault(sampling.identity_of(record.workload.mod), {})
        samples.setdefault(str(sample), Measured(sample=sample)).add(record.run_secs)
    return {name: ranked(samples.values()) for name, samples in found.items()}


def recorded(record: TuningRecord) -> Sample:
    """Return the sample of a record."""
    sch = Schedule(record.workload.mod)
    record.trace.apply_to_schedule(sch, remove_postproc=True)
    return sampling.sample_of(sch)


def ranked(measured: Iterable[Measured]) -> list[Measured]:
    """Return samples in the order of their times."""
    return sorted(measured, key=lambda one: one.seconds)


def best(measured: list[Measured], default: Sample) -> Measured | None:
    """Return what to use in place of the default; None if nothing is surely faster.

    A single time among many is the fastest by luck as often as by merit: only samples that were
    measured again, beside the default, are compared with it.
    """
    known = next((one for one in measured if one.sample == default and one.confirmed), None)
    rivals = (one for one in measured if one.confirmed and one.sample != default)
    rival = next(rivals, None)
    if rival is None or rival.seconds == float("inf"):
        return None
    slower = known is not None and rival.seconds > _GAIN * known.seconds
    return None if slower else rival
