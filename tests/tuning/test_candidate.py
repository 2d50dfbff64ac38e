from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import tvm

from support import tuning
from tvm_sparse.tuning import candidate, worker


def test_candidates_are_timed_once_their_output_equals_the_defaults(tmp_path: Path) -> None:
    task = tuning.task()
    candidate.begin(tmp_path, [task])
    for sample in (task.default, *tuning.samples(task, 1)):
        times = tuning.timed(tmp_path, task, sample)
        assert len(times) == 2 and min(times) > 0
    (expected,) = tmp_path.glob("*.npy")
    np.save(expected, np.load(expected) * np.float32(1.001))
    with pytest.raises(ValueError, match=r"wrong output: relative error 1.0e-03"):
        tuning.timed(tmp_path, task, task.default)


def test_a_worker_keeps_no_library_that_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tvm.runtime, "load_module", tvm.runtime.load_module)  # restored at the end
    worker.release_libraries()
    task = tuning.task()
    candidate.begin(tmp_path, [task])
    tuning.timed(tmp_path, task, task.default)
    gc.collect()
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
