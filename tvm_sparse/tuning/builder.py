# mypy: ignore-errors
"""A builder whose worker processes stay from one batch of candidates to the next.

MetaSchedule's own starts new ones for every batch, and one more to look whether the functions exist
that it was given.
"""

from tvm.ir.utils import derived_object
from tvm.s_tir.meta_schedule.builder import BuilderResult, PyBuilder
from tvm.support.popen_pool import StatusKind


@derived_object
class Builder(PyBuilder):
    """Builds candidates, as many at a time as there are processes.

    Parameters
    ----------
    pool : PopenPoolExecutor
        The processes.
    seconds : float
        What the pool lets a candidate take.
    build : callable
        Of a module, its target and None; returns what `export` takes.
    export : callable
        Writes a candidate down, and returns its path.
    """

    def __init__(self, pool, seconds, build, export) -> None:
        super().__init__()
        self.pool, self.seconds = pool, seconds
        self.functions = build, export

    def build(self, build_inputs):
        """Build candidates."""
        calls = [(*self.functions, one.mod, one.target) for one in build_inputs]
        return [self._result(one) for one in self.pool.map_with_error_catching(_built, calls)]

    def _result(self, one):
        if one.status == StatusKind.COMPLETE:
            return BuilderResult(one.value, None)
        if one.status == StatusKind.TIMEOUT:
            return BuilderResult(None, f"Builder: Timeout, killed after {self.seconds} seconds")
        return BuilderResult(None, f"Builder: An exception occurred\n{one.value}")


def _built(call):
    """Build one candidate, in a worker."""
    build, export, mod, target = call
    return export(build(mod, target, None))
