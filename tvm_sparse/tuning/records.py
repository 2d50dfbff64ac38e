"""What a database's records say: how long each sample takes, and which to use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tvm.s_tir import Schedule
from tvm.s_tir.meta_schedule.database import Database, TuningRecord

from tvm_sparse.errors import DatabaseError
from tvm_sparse.tuning import sampling
from tvm_sparse.tuning.lines import Lines
from tvm_sparse.tuning.space import Sample

FAILED = 1e10  # seconds; as MetaSchedule records a failure
_GAIN = 0.98  # share of the default's time that a sample must stay below to replace it
ROUNDS = 9  # of a comparison; a record of so many times is one, and others have fewer


@dataclass(kw_only=True)
class Measured:
    """The records of one sample.

    Parameters
    ----------
    sample : Sample
    times : list of float
        The median of each measurement of the search, in seconds.
    compared : list of float
        The upper quartile of each comparison with the default, in seconds.
    failures : int
    """

    sample: Sample
    times: list[float] = field(default_factory=list)
    compared: list[float] = field(default_factory=list)
    failures: int = 0

    @classmethod
    def of(cls, sample: Sample, run_secs: Any) -> Measured:
        """Return one measurement of a sample; without times, a failure."""
        one = cls(sample=sample)
        one.add(run_secs or [float("inf")])
        return one

    def add(self, run_secs: Any) -> None:
        """Add the times of one record, in seconds."""
        seconds = [float(time) for time in run_secs]
        if is_failure(seconds):
            self.failures += 1
        elif is_comparison(seconds):
            self.compared.append(float(np.quantile(seconds, 0.75)))
        else:
            self.times.append(float(np.median(seconds)))

    @property
    def seconds(self) -> float:
        """Its time by comparisons, else by the search; infinite if it ever failed."""
        known = self.compared or self.times
        return float("inf") if self.failures or not known else float(np.median(known))


def is_failure(run_secs: Sequence[float]) -> bool:
    """Whether a record is of a sample that could not be run."""
    return max(run_secs, default=FAILED) >= FAILED / 10


def is_comparison(run_secs: Sequence[float]) -> bool:
    """Whether a record is of a comparison with the default, in turns."""
    return len(run_secs) == ROUNDS and not is_failure(run_secs)


def relative(times: Sequence[float], beside: Sequence[float]) -> list[float]:
    """Return the times of rounds, freed of what disturbed both a sample and the default.

    Each is the share of the default's time in the same round, of the default's shortest time.
    """
    return [min(beside) * time / other for time, other in zip(times, beside, strict=True)]


def by_task(database: Database) -> dict[str, list[Measured]]:
    """Return what was measured for each task, by its identity, the fastest sample first."""
    return _grouped(
        (sampling.identity_of(record.workload.mod), recorded(record), record.run_secs)
        for record in database.get_all_tuning_records()
    )


def read(path: Path) -> dict[str, list[Measured]]:
    """Return the same from a folder's text, which is many times as fast.

    Raises
    ------
    DatabaseError
        If the files cannot be read, or hold something else.
    """
    try:
        return _grouped(Lines.of(path).entries())
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise DatabaseError(f"cannot read the database {path}: {error!r}; tune again") from error


def _grouped(entries: Iterable[tuple[str, Sample, Any]]) -> dict[str, list[Measured]]:
    found: dict[str, dict[str, Measured]] = {}
    for task, sample, run_secs in entries:
        samples = found.setdefault(task, {})
        samples.setdefault(str(sample), Measured(sample=sample)).add(run_secs)
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

    A single time among many is the fastest by luck as often as by merit. So only samples count that
    were compared with the default, in turns, and were faster in three of four rounds.
    """
    known = next((one for one in measured if one.sample == default and one.compared), None)
    rivals = [one for one in measured if one.compared and one.sample != default]
    rival = min(rivals, key=lambda one: one.seconds, default=None)
    if rival is None or rival.seconds == float("inf"):
        return None
    slower = known is not None and rival.seconds > _GAIN * known.seconds
    return None if slower else rival
