"""Our design spaces inside MetaSchedule's own entry points, without `tvm_sparse.tune`.

::

    from tvm.s_tir.meta_schedule.relax_integration import tune_relax
    from tvm_sparse.tuning.integration import DesignSpaces

    with DesignSpaces(mod, "x86", "logs/here") as ours:
        tune_relax(ours.mod, {}, ours.target, "logs/here", max_trials_global=64, **ours.options)

    lowering = relax.get_pipeline("tvm_sparse", target=ours.profile, database="logs/here")
    lib = tvm.compile(mod, ours.target, relax_pipeline=lowering, tir_pipeline="tvm_sparse")

MetaSchedule extracts tasks from the calls of TIR functions. `DesignSpaces.mod` holds one function a
task, called as often as the model has layers of its kind; it is there to be tuned, not to be run.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import tvm
from tvm import relax

from tvm_sparse import compat
from tvm_sparse.frontend import import_model
from tvm_sparse.tuning import folder, learning, sampling, scratch
from tvm_sparse.tuning.extract import extract
from tvm_sparse.tuning.measure import Bench
from tvm_sparse.tuning.places.here import Here
from tvm_sparse.tuning.progress import Tally
from tvm_sparse.tuning.task import Task
from tvm_sparse.tuning.tune import confirm, measure_defaults, this_machine


class DesignSpaces:
    """The tasks of a model, for `relax_integration.tune_relax` and its like.

    Entering measures the kernels that the cost formula chose, with whose outputs others are
    compared; leaving measures the fastest again, in turns with these.

    Parameters
    ----------
    model : IRModule
        Of Relax, its weights bound; or what else `tvm_sparse.build` takes without example inputs.
    target : str, path, Target or tvm.target.Target
        This machine.
    path : path
        The database, a folder; the ``work_dir`` of `tune_relax`.
    workers : int, optional
        Processes that build, by default one a core.
    seed : int
        Of mutations.

    Raises
    ------
    ModelError, TargetError, DatabaseError
        As `tvm_sparse.tune`.
    """

    def __init__(
        self,
        model: Any,
        target: Any,
        path: str | Path,
        workers: int | None = None,
        seed: int = 1,
    ) -> None:
        self.profile = this_machine(target)
        self.tasks = extract(import_model(model), self.profile)
        self._path = Path(path)
        self._workers = workers
        self._seed = seed
        self._open = ExitStack()

    @property
    def target(self) -> tvm.target.Target:
        """The target, as TVM describes it."""
        return self.profile.to_tvm()

    @property
    def mod(self) -> tvm.IRModule:
        """What tasks are extracted from."""
        return workloads(self.tasks)

    @property
    def options(self) -> dict[str, Any]:
        """Arguments by name: ``space``, ``builder``, ``runner``, ``database``, ``cost_model``."""
        model = learning.model(self.profile)
        learning.learn(model, learning.known(self._bench.database, self.profile))
        return {
            "space": sampling.generator(self.tasks, self._seed),
            "builder": self._bench.builder,
            "runner": self._bench.runner,
            "database": self._bench.database,
            "cost_model": model,
        }

    def __enter__(self) -> Self:
        """Open the database and measure the default kernels."""
        with ExitStack() as opening:
            opening.enter_context(compat.without_tensor_intrinsics())
            database = opening.enter_context(folder.writing(self._path, self.profile))
            shared = opening.enter_context(scratch.folder())
            bench = Bench(shared, self.tasks, database, Here(self.profile), self._workers)
            self._bench = opening.enter_context(bench)
            self._tally = Tally(self.tasks, 0, None, lambda state: None)
            self._sound = measure_defaults(self._bench, self.tasks, self._tally)
            self._open = opening.pop_all()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Compare what was found with the default kernels, and close the database."""
        with self._open:
            if error is None:
                confirm(self._bench, self._sound, self._tally)


def workloads(tasks: Sequence[Task]) -> tvm.IRModule:
    """Return a module that calls the workload of every task, once for each of its layers.

    ::

        y = R.call_tir(task_0, (x0, w0), out_ty=R.Tensor((positions,), "float32"))
        z = R.call_tir(task_0, (x0, w0), out_ty=R.Tensor((positions,), "float32"))
        u = R.call_tir(task_1, (x1, w1), out_ty=R.Tensor((positions,), "float32"))
    """
    builder = relax.BlockBuilder()
    funcs = [sampling.workload(task)["main"] for task in tasks]
    kinds = [[relax.TensorType(buffer.shape, "float32") for buffer in f.params] for f in funcs]
    params = [
        [relax.Var(f"{name}{i}", kind) for name, kind in zip("xw", of, strict=False)]
        for i, of in enumerate(kinds)
    ]
    with builder.function("main", [param for pair in params for param in pair]):
        outputs = []
        for number, (task, func) in enumerate(zip(tasks, funcs, strict=True)):
            var = builder.add_func(func, f"task_{number}")
            for _ in task.layers:
                call = relax.call_tir(var, params[number], out_ty=kinds[number][-1])
                outputs.append(builder.emit(call))
        builder.emit_func_output(relax.Tuple(outputs))
    return builder.get()
