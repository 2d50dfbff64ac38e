from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm.s_tir import meta_schedule as ms

from support import tuning
from tvm_sparse.tuning import candidate, sampling, worker
from tvm_sparse.tuning.space import Sample
from tvm_sparse.tuning.task import Task

ONCE = ms.runner.EvaluatorConfig(number=1, repeat=2, min_repeat_ms=0)


def measured(folder: Path, task: Task, sample: Sample) -> list[float]:
    mod = sampling.decided(task, sample).mod
    path = candidate.export(candidate.build(folder, mod, None, None))
    library = tvm.runtime.load_module(path)
    return candidate.run(folder, library, tvm.cpu(), ONCE, None)


def test_candidates_are_timed_once_their_output_equals_the_defaults(tmp_path: Path) -> None:
    task = tuning.task()
    candidate.begin(tmp_path, [task])
    for sample in (task.default, *tuning.samples(task, 1)):
        times = measured(tmp_path, task, sample)
        assert len(times) == 2 and min(times) > 0
    (expected,) = tmp_path.glob("*.npy")
    np.save(expected, np.load(expected) * np.float32(1.001))
    with pytest.raises(ValueError, match=r"wrong output: relative error 1.0e-03"):
        measured(tmp_path, task, task.default)


def test_a_worker_keeps_no_library_that_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tvm.runtime, "load_module", tvm.runtime.load_module)  # restored at the end
    worker.release_libraries()
    task = tuning.task()
    candidate.begin(tmp_path, [task])
    measured(tmp_path, task, task.default)
    gc.collect()
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
