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
