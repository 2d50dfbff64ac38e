# mypy: ignore-errors
"""A runner that runs one candidate after the other, until their machine is lost."""

from pathlib import Path

from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule.runner.local_runner import LocalRunnerFuture

from tvm_sparse.errors import DeviceError
from tvm_sparse.tuning.places.place import lost


@derived_object
class OneByOne(ms.runner.PyRunner):
    """A runner in this process.

    Parameters
    ----------
    seconds : callable
        Runs a candidate, which is given as a path, and returns the times of its repetitions. A
        `DeviceError` is the machine's end, any other error the candidate's.
    """

    def __init__(self, seconds) -> None:
        super().__init__()
        self.seconds = seconds
        self.gone = ""  # why no more candidates can be run

    def run(self, runner_inputs):
        """Run candidates."""
        return [self._ran(Path(str(one.artifact_path))) for one in runner_inputs]

    def _ran(self, path: Path):
        if not self.gone:
            try:
                return LocalRunnerFuture(res=self.seconds(path))
            except DeviceError as error:
                self.gone = str(error)
            except (ValueError, OSError) as error:
                return LocalRunnerFuture(error_message=str(error))
        return LocalRunnerFuture(error_message=lost(self.gone))
