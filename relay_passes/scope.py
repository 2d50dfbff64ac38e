"""Which target a pass works for."""

from __future__ import annotations

import tvm

from tvm_sparse import targets
from tvm_sparse.errors import TargetError
from tvm_sparse.targets import Target


def current(target: Target | None) -> Target:
    """Return the given profile, or that of TVM's current target.

    Raises
    ------
    TargetError
        If no target was given and none is in scope.
    """
    if target is not None:
        return target
    scope = tvm.target.Target.current(allow_none=True)
    if scope is None:
        raise TargetError(
            "no target: pass one to the pass, or apply it inside `with tvm.target.Target(...):`"
        )
    return targets.load(scope)


class ForTarget:
    """What the passes share that work for a target.

    Parameters
    ----------
    target : Target, optional
        Taken from TVM's current target, when the pass is applied, if missing.
    """

    def __init__(self, target: Target | None = None) -> None:
        self._target = target

    @property
    def target(self) -> Target:
        """The profile to work for, see `current`."""
        return current(self._target)
