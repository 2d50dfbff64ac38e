"""Which target a pass works for."""

from __future__ import annotations

from collections.abc import Callable

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


def whole(
    name: str, target: Target | None, passes: Callable[[Target], list[tvm.transform.Pass]]
) -> tvm.transform.Pass:
    """Return a pass that runs those for a target, in its scope; see `current`."""

    @tvm.transform.module_pass(opt_level=0, name=name)
    def run(mod: tvm.IRModule, ctx: tvm.transform.PassContext) -> tvm.IRModule:
        profile = current(target)
        with profile.to_tvm():
            return tvm.transform.Sequential(passes(profile))(mod)

    return run


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
