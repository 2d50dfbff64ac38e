from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tvm
from tvm import relax
from tvm.s_tir.meta_schedule import relax_integration

from support import kernels, tuning
from tvm_sparse.frontend import import_model
from tvm_sparse.relay_passes import record
from tvm_sparse.tuning import folder, records
from tvm_sparse.tuning.integration import DesignSpaces, workloads

TRIALS = 4
X, model = tuning.X, tuning.model


def test_tvm_extracts_each_task_as_often_as_the_model_has_its_layer() -> None:
    task = replace(tuning.task(), layers=("a", "b", "c"))
    mod = workloads([task, tuning.task(tuning.POINTWISE)])
    found = relax_integration.extract_tasks(mod, task.target.to_tvm())
    assert {one.task_name: one.weight for one in found} == {"task_0": 3, "task_1": 1}


def test_tune_relax_searches_our_spaces_and_our_pipeline_uses_what_it_finds(tmp_path: Path) -> None:
    mod, expected = import_model(model(), X), model()(X).detach()
    with DesignSpaces(mod, "x86", tmp_path, workers=1) as ours:
        relax_integration.tune_relax(
            ours.mod,
            {},
            ours.target,
            str(tmp_path),
            max_trials_global=TRIALS,
            num_trials_per_iter=TRIALS,
            **ours.options,
        )
    (task,) = ours.tasks
    (measured,) = records.by_task(folder.reading(tmp_path)).values()
    assert len(measured) >= TRIALS
    assert all(task.chosen(one.sample) is not None and not one.failures for one in measured)
    assert any(one.compared for one in measured if one.sample != task.default)

    lowering = relax.get_pipeline("tvm_sparse", target=ours.profile, database=tmp_path)
    with ours.target:
        (row,) = record.read(lowering(mod)).rows
    assert "measured" in row.reason or "tuned" in row.reason
    lib = tvm.compile(mod, ours.target, relax_pipeline=lowering, tir_pipeline="tvm_sparse")
    y = relax.VirtualMachine(lib, tvm.cpu())["main"](tvm.runtime.tensor(X.numpy()))
    kernels.assert_close((y if hasattr(y, "numpy") else y[0]).numpy(), expected)
