"""The machine at hand as the place where candidates run: worker processes, one after the other."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from tvm.s_tir import meta_schedule as ms

from tvm_sparse.tuning import candidate, provenance, worker
from tvm_sparse.tuning.places.place import EVALUATOR, Place

_RUN_SECONDS = 20.0


class Here(Place):
    """The machine at hand; see `Place`."""

    @property
    def within(self) -> bool:
        """Whether kernels can be timed within a network: a GPU runs them when it likes."""
        return not self.target.is_gpu

    @property
    def origin(self) -> provenance.About:
        """Of the machine at hand."""
        return provenance.here(self.target)

    def runner(self, folder: Path) -> Any:
        """Return a runner in a process of its own, that a bad candidate ends alone."""
        return ms.runner.LocalRunner(
            timeout_sec=_RUN_SECONDS,
            evaluator_config=EVALUATOR,
            f_alloc_argument=candidate.allocate,
            f_run_evaluator=partial(worker.plainly, candidate.run, folder),
            initializer=partial(worker.prepare, folder),
        )
