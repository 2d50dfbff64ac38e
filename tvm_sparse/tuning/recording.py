# mypy: ignore-errors
"""What MetaSchedule's search has measured, added to the database."""

from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from tvm_sparse.tuning.places.place import is_lost
from tvm_sparse.tuning.records import FAILED


@derived_object
class AddRecords(ms.measure_callback.PyMeasureCallback):
    """Add every batch to the database, also what failed.

    MetaSchedule's own would add candidates that could not be run as if they had failed.

    Parameters
    ----------
    database : JSONDatabase
    """

    def __init__(self, database) -> None:
        super().__init__()
        self.database = database

    def apply(self, scheduler, task_id, candidates, built, results) -> None:
        """Add a batch."""
        context = scheduler.tasks_[task_id].ctx
        workload = self.database.commit_workload(context.mod)
        for candidate, result in zip(candidates, results, strict=True):
            if not is_lost(result.error_msg):
                self.database.commit_tuning_record(
                    ms.database.TuningRecord(
                        trace=candidate.sch.trace,
                        workload=workload,
                        run_secs=result.run_secs or [FAILED],
                        target=context.target,
                        args_info=candidate.args_info,
                    )
                )
